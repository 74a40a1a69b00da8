/**
 * Speculation writes the same tokens, from the same bits: greedy and drawn, alone and together, full attention and windows, whatever is
 * proposed and however often it is right.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ModelParts } from "../../src/serving/load-parts.ts";
import { sampling, type SamplingOptions } from "../../src/serving/sampling.ts";
import type { DecodeStrategy, StrategySource } from "../../src/serving/strategy.ts";
import { draftModel } from "../../src/techniques/decoding/draft-model.ts";
import { promptLookup } from "../../src/techniques/decoding/prompt-lookup.ts";
import { coreBackends } from "../backends.ts";
import { models, observe, type Observed, open, parting, prompt } from "./observe.ts";

const count = 30;
const ways: readonly (readonly [string, SamplingOptions])[] = [
  ["greedy", {}],
  ["drawn", { temperature: 1, seed: 5 }],
  ["drawn from few, with penalties", { temperature: 0.8, topK: 20, topP: 0.9, minP: 0.01, repetitionPenalty: 1.2, seed: 6 }],
];
/** A text that repeats itself, so that there is something to look up. */
const repeating = (length: number, salt: number, vocabularySize: number): number[] => {
  const once = prompt(7 + salt, salt, vocabularySize);
  return Array.from({ length }, (_, i) => once[i % once.length]!);
};

describe.each(Object.keys(models))("%s", (model) => {
  let parts: ModelParts;
  let sources: Readonly<Record<string, StrategySource>>;
  beforeAll(async () => {
    const backend = coreBackends[0]!.name;
    parts = await open(model, { backend, cache: "F16", outputRows: 24 });
    // What is right for greedy texts, and another cache's rounding for the rest.
    const draft = await open(model, { backend, cache: "Q8_0" });
    sources = { "prompt lookup": promptLookup({ shortest: 1 }), "a draft model": draftModel(draft) };
  });
  afterAll(async () => {
    for (const source of Object.values(sources)) await source.dispose?.();
    await parts.dispose();
  });
  const prompts = (): number[][] => Array.from({ length: 4 }, (_, i) => repeating(20 + 11 * i, i, parts.model.vocabularySize));

  test.each(ways)("%s: the same with and without, alone and together", async (_, chosen) => {
    const engine = parts.engine!;
    const plain = await Promise.all(prompts().map((text) => observe(engine, { prompt: text, count, sampling: chosen })));
    for (const [name, source] of Object.entries(sources)) {
      const settled = sampling(chosen, parts.model.vocabularySize);
      const write = async (text: readonly number[]): Promise<Observed> => {
        const strategy = source.start(settled);
        try {
          return await observe(engine, { prompt: text, count, sampling: chosen, strategy });
        } finally {
          await strategy.dispose?.();
        }
      };
      const before = engine.stats();
      const alone = await write(prompts()[2]!);
      expect(parting(plain[2]!, alone), name).toBeUndefined();
      const together = await Promise.all(prompts().map(write));
      together.forEach((observed, i) => expect(parting(plain[i]!, observed), name).toBeUndefined());
      expect(engine.stats().draftedTokens, name).toBeGreaterThan(before.draftedTokens);
    }
  });

  test("a draft that is the model itself is always right, in a third of the steps", async () => {
    const engine = parts.engine!;
    const text = prompts()[1]!;
    const plain = await observe(engine, { prompt: text, count });
    const before = engine.stats();
    const oracle: DecodeStrategy = {
      propose: (tokens, most) => plain.ids.slice(tokens.length - text.length, tokens.length - text.length + Math.min(most, 3)),
      judged() {},
    };
    expect(parting(plain, await observe(engine, { prompt: text, count, strategy: oracle }))).toBeUndefined();
    const after = engine.stats();
    expect(after.acceptedTokens - before.acceptedTokens).toBe(after.draftedTokens - before.draftedTokens);
    expect(after.steps - before.steps).toBeLessThan(count / 3);
  });

  test("an abort amid verification leaves others as they are, and nothing behind", async () => {
    const engine = parts.engine!;
    const [text, other] = prompts() as [number[], number[]];
    const plain = await observe(engine, { prompt: other, count });
    for (const after of [0, 1, 3]) {
      const controller = new AbortController();
      let steps = 0;
      const wrong: DecodeStrategy = {
        propose(tokens, most) {
          if (steps++ === after) controller.abort(new Error("enough"));
          return Array.from({ length: most }, (_, i) => (tokens.length + i) % 50);
        },
        judged() {},
      };
      const aborted = observe(engine, { prompt: text, count, strategy: wrong, signal: controller.signal });
      const [outcome, beside] = await Promise.all([
        aborted.catch((error: Error) => error.message),
        observe(engine, { prompt: other, count }),
      ]);
      expect(outcome).toBe("enough");
      expect(parting(plain, beside)).toBeUndefined();
    }
    engine.expectIdle();
  });
});
