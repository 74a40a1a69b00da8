import { expect, test } from "vitest";
import { formatByGgufType, formatByName, formatBySafetensorsType, formats } from "./index.ts";

test("names, GGUF numbers and safetensors dtypes lead to one format each", () => {
  for (const format of formats) {
    expect(formatByName(format.name)).toBe(format);
    if (format.ggufType !== undefined) expect(formatByGgufType(format.ggufType)).toBe(format);
    if (format.safetensorsType !== undefined) expect(formatBySafetensorsType(format.safetensorsType)).toBe(format);
  }
});

test("what is unknown is named, with what is known", () => {
  const unsupported = (message: RegExp): unknown =>
    expect.objectContaining({ code: "FRUGAL_UNSUPPORTED", message: expect.stringMatching(message) });
  expect(() => formatByName("Q4K")).toThrow(unsupported(/format Q4K is not known, did you mean Q4_K\?; known are F32, F16/));
  expect(() => formatByGgufType(19)).toThrow(unsupported(/GGUF tensor type 19 is not known; known are 0 F32, 1 F16/));
  expect(() => formatBySafetensorsType("F8_E4M3")).toThrow(unsupported(/safetensors dtype F8_E4M3 is not known.*known are F32, F16, BF16/));
  expect(() => formatBySafetensorsType("Q4_0")).toThrow(unsupported(/dtype Q4_0/));
});
