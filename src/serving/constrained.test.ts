/** Constraints at work in a model: the embedded one knows no JSON, so whatever is right is the constraint's doing. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { fileURLToPath } from "node:url";
import { type FrugalModel, load } from "./model.ts";

let model: FrugalModel;
beforeAll(async () => {
  model = await load(fileURLToPath(new URL("../../models/stories/stories.gguf", import.meta.url)));
});
afterAll(() => model.dispose());

const schema = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 12 },
    age: { type: "integer", minimum: 0, maximum: 150 },
    kind: { enum: ["cat", "dog"] },
  },
  required: ["name", "age", "kind"],
  additionalProperties: false,
};

it("texts fulfil their constraint, greedy and drawn, side by side with others", async () => {
  const constraint = { kind: "json-schema", schema } as const;
  const plain = await model.generate("Once upon a time", { maxTokens: 30 });
  const [other, ...texts] = await Promise.all([
    model.generate("Once upon a time", { maxTokens: 30 }),
    ...[0, 0.7, 1, 2].map((temperature, seed) => model.generate("A pet: ", { constraint, temperature, seed, maxTokens: 200 })),
  ]);
  expect(other.text).toBe(plain.text);
  for (const { text, finishReason } of texts) {
    expect(finishReason).toBe("stop");
    const { name, age, kind } = JSON.parse(text) as { name: string; age: number; kind: string };
    expect(Array.from(name).length).toBeLessThanOrEqual(12);
    expect(age >= 0 && age <= 150 && Number.isInteger(age)).toBe(true);
    expect(["cat", "dog"]).toContain(kind);
  }
});

it("ends without the model's word where nothing may follow, and says where it was cut", async () => {
  const choice = await model.generate("Is it good?", { constraint: { kind: "choice", choices: ["yes", "no"] }, maxTokens: 50 });
  expect(["yes", "no"]).toContain(choice.text.trim());
  expect(choice.finishReason).toBe("stop");
  const cut = await model.generate("Once", { constraint: { kind: "json-schema", schema }, maxTokens: 3 });
  expect(cut.finishReason).toBe("length");
});

it("log probabilities are the model's own, and a bias still counts", async () => {
  const constraint = { kind: "choice", choices: ["yes", "no"] } as const;
  const { parts } = await model.generate("Is it good?", { constraint, logprobs: 2, maxTokens: 5 });
  expect(parts[0]!.logprob).toBeLessThan(0);
  const free = await model.generate("Is it good?", { logprobs: 2, maxTokens: 1 });
  expect(parts[0]!.alternatives).toEqual(free.parts[0]!.alternatives);
  const first = parts[0]!.id;
  const biased = await model.generate("Is it good?", { constraint, logitBias: { [first]: -Infinity }, maxTokens: 5 });
  expect(biased.ids[0]).not.toBe(first);
});

it("a constraint that is none rejects, and others go on", async () => {
  const [bad, good] = await Promise.allSettled([
    model.generate("Once", { constraint: { kind: "regex", pattern: "(" }, maxTokens: 5 }),
    model.generate("Once", { maxTokens: 5 }),
  ]);
  expect(bad).toMatchObject({ status: "rejected", reason: { code: "FRUGAL_BAD_ARGUMENT" } });
  expect(good.status).toBe("fulfilled");
});
