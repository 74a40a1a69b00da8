import { expect, test } from "vitest";
import { type Inspection, modelFacts } from "./model-facts.ts";

const amount = (parameters: number, bytes: number): { parameters: number; bytes: number } => ({ parameters, bytes });
const inspection: Inspection = {
  name: "toy.gguf",
  parameters: 1000,
  bytes: 2000,
  formats: { F32: amount(10, 40), Q8_0: amount(990, 1960) },
  parts: { embeddings: amount(400, 800), norms: amount(10, 40), attention: amount(590, 1160) },
  config: { tiedHead: true },
};

test("a token reads everything where the embeddings are the head too", () => {
  expect(modelFacts(inspection, 2100)).toEqual({
    name: "toy.gguf",
    fileBytes: 2100,
    bytesPerToken: 2000,
    bodyParameters: 600,
    format: "Q8_0",
    isFloat: false,
  });
});

test("embeddings beside a head of their own are not read", () => {
  const parts = { ...inspection.parts, attention: amount(290, 560), output: amount(300, 600) };
  const facts = modelFacts({ ...inspection, parts, config: { tiedHead: false } }, 2100);
  expect([facts.bytesPerToken, facts.bodyParameters]).toEqual([1200, 300]);
});

test("of experts only those that a token is sent to count", () => {
  const parts = { ...inspection.parts, attention: amount(190, 360), experts: amount(400, 800) };
  const facts = modelFacts({ ...inspection, parts, config: { tiedHead: true, experts: 8, activeExperts: 2 } }, 2100);
  expect([facts.bytesPerToken, facts.bodyParameters]).toEqual([2000 - 600, 600 - 300]);
});

test("a file has a format where all matrices share one", () => {
  const format = (formats: Inspection["formats"]): string | undefined => modelFacts({ ...inspection, formats }, 0).format;
  expect(format({ F32: amount(10, 40), F16: amount(990, 1980) })).toBe("F16");
  expect(format({ F32: amount(1000, 4000) })).toBe("F32");
  expect(format({ F32: amount(10, 40), Q8_0: amount(500, 1), Q4_K: amount(490, 1) })).toBeUndefined();
});

test.each([
  [{ F32: amount(1, 4), BF16: amount(1, 2) }, true],
  [{ F16: amount(1, 2), Q4_0: amount(1, 1) }, false],
])("whether products are sums of floats: %j", (formats, isFloat) => {
  expect(modelFacts({ ...inspection, formats }, 0).isFloat).toBe(isFloat);
});
