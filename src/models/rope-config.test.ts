import { expect, test } from "vitest";
import { configReader } from "./config-reader.ts";
import { huggingfaceRope } from "./rope-config.ts";

const read = (config: Readonly<Record<string, unknown>>): ReturnType<typeof huggingfaceRope> => {
  const reader = configReader("config.json", config);
  const rope = huggingfaceRope(reader, { headSize: 16, contextLength: 64 });
  reader.finish();
  return rope;
};

test("old and new spelling say the same", () => {
  const wanted = { base: 500, rotaryDim: 8, scaling: { kind: "linear", factor: 2 } };
  expect(read({ rope_theta: 500, partial_rotary_factor: 0.5, rope_scaling: { type: "linear", factor: 2 } })).toEqual(wanted);
  const record = { rope_theta: 500, partial_rotary_factor: 0.5, rope_type: "linear", factor: 2 };
  expect(read({ rope_parameters: record })).toEqual(wanted);
  // As new versions save what they read from an old file.
  expect(read({ rope_theta: 7, partial_rotary_factor: 1, rope_parameters: record })).toEqual(wanted);
});
