/** Models with drafts, on tiny checkpoints. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type FrugalModel, load } from "../../serving/model.ts";
import type { SpeculationMode } from "../../serving/strategy.ts";
import { chooseStrategy } from "./choose-strategy.ts";
import { draftModel } from "./draft-model.ts";
import { promptLookup } from "./prompt-lookup.ts";
import { loadParts } from "../../serving/load-parts.ts";

const family = (name: string): string => fileURLToPath(new URL(`../../../testing/fixtures/families/${name}`, import.meta.url));
const options = { backend: "reference", context: 96 } as const;
const drawn = { maxTokens: 24, ignoreEnd: true, temperature: 1, seed: 3, logprobs: 2 } as const;
const open = (draft?: string, mode: SpeculationMode = "auto"): Promise<FrugalModel> =>
  load(family("llama-3"), options, { speculation: chooseStrategy(draft, mode, options) });

describe("a draft model", () => {
  test("of the same model is always right, for drawn texts too, and changes no token and no probability", async () => {
    await using plain = await open();
    await using drafted = await open(family("llama-3"));
    const { parts } = await plain.generate("the cat", { ...drawn, speculation: "off" });
    expect(plain.stats().draftedTokens).toBe(0);
    expect((await drafted.generate("the cat", { ...drawn, speculation: "always" })).parts).toEqual(parts);
    const { draftedTokens, acceptedTokens, steps } = drafted.stats();
    expect(draftedTokens).toBeGreaterThan(15);
    expect(acceptedTokens).toBe(draftedTokens);
    expect(steps).toBeLessThan(8);
  });

  test("of another model changes nothing either, alone and together", async () => {
    await using plain = await open();
    await using drafted = await open(family("qwen-2-window"));
    const texts = ["the cat", "a", "the dog and"];
    const wanted = await Promise.all(texts.map((text) => plain.generate(text, { ...drawn, speculation: "off" })));
    const got = await Promise.all(texts.map((text) => drafted.generate(text, { ...drawn, speculation: "always" })));
    expect(got.map(({ parts }) => parts)).toEqual(wanted.map(({ parts }) => parts));
    expect(drafted.stats().draftedTokens).toBeGreaterThan(0);
  });

  test("with another vocabulary is refused by its first token that differs", async () => {
    const other = fileURLToPath(new URL("../../../models/stories/stories.gguf", import.meta.url));
    await expect(open(other)).rejects.toMatchObject({
      code: "FRUGAL_UNSUPPORTED",
      message: expect.stringMatching(/draft: .* has another vocabulary: .*; take a draft of the same family/) as string,
    });
    await expect(open("/nowhere/draft.gguf")).rejects.toMatchObject({ code: "FRUGAL_NOT_FOUND" });
    await expect(open(family("bert"))).rejects.toMatchObject({ code: "FRUGAL_UNSUPPORTED" });
  });
});

describe("speculation", () => {
  test("is what the text says, else what the model was loaded with", async () => {
    const repeating = Array.from({ length: 30 }, (_, i) => 5 + (i % 3));
    const drafted = async (speculation?: "off" | "always", own?: "off" | "always"): Promise<number> => {
      await using model = await open(undefined, speculation);
      await model.generate(repeating, { maxTokens: 12, ignoreEnd: true, ...(own && { speculation: own }) });
      return model.stats().draftedTokens;
    };
    expect(await drafted("off")).toBe(0);
    expect(await drafted("always", "off")).toBe(0);
    expect(await drafted("always")).toBeGreaterThan(0);
    expect(await drafted("off", "always")).toBeGreaterThan(0);
  });
  test("has three modes", async () => {
    await using model = await open();
    const generating = model.generate("the", { speculation: "sometimes" as never });
    await expect(generating).rejects.toThrow(/generate: speculation is "sometimes"; it may be auto, always, off/);
  });
});

test("techniques say what they are", async () => {
  const parts = await loadParts(family("llama-3"), options);
  for (const { name, paper, survey, changes } of [promptLookup(), draftModel(parts)]) {
    expect(name).toMatch(/^[a-z-]+$/);
    expect(paper.url).toMatch(/^https:\/\//);
    expect(survey).toBe("4.3 inference: opportunistic decoding");
    expect(changes).toBe("schedule");
  }
  await parts.dispose();
});
