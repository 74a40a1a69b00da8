/**
 * The same answer alone and in a crowd: every row of logits of a text has the same bits whatever else the engine does with it and beside it.
 * Each way is compared with the text written alone, its prompt in one step.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CacheFormat } from "../../src/backends/backend.ts";
import { instructionSets } from "../../src/backends/native/backend.ts";
import type { ModelParts } from "../../src/serving/load-parts.ts";
import { models, observe, type Observed, open, parting, prompt, type Setting } from "./observe.ts";

const count = 12;
const promptLength = 45;

type Way = (model: string, setting: Setting, base: Base) => Promise<Observed | readonly Observed[]>;
interface Base {
  readonly parts: ModelParts;
  readonly text: readonly number[];
}

const drawn = { temperature: 1, seed: 11 } as const;
const write = (parts: ModelParts, text: readonly number[]): Promise<Observed> =>
  observe(parts.engine!, { prompt: text, count, sampling: drawn });

async function reloaded(model: string, setting: Setting, work: (parts: ModelParts) => Promise<Observed>): Promise<Observed> {
  const parts = await open(model, setting);
  try {
    return await work(parts);
  } finally {
    await parts.dispose();
  }
}

const among =
  (others: number): Way =>
  async (_, __, { parts, text }) => {
    const beside = Array.from({ length: others }, (___, i) => write(parts, prompt(1 + ((i * 13) % 60), i + 2, parts.model.vocabularySize)));
    const [own] = await Promise.all([write(parts, text), ...beside]);
    return own;
  };

const ways: Readonly<Record<string, Way>> = {
  again: (_, __, { parts, text }) => write(parts, text),
  "with 1 other": among(1),
  "with 2 others": among(2),
  "with 7 others": among(7),
  "with 15 others": among(15),
  "read 1 token a step": (model, setting, { text }) => reloaded(model, { ...setting, rows: 1 }, (parts) => write(parts, text)),
  "read 7 tokens a step": (model, setting, { text }) => reloaded(model, { ...setting, rows: 7 }, (parts) => write(parts, text)),
  "read 64 tokens a step": (model, setting, { text }) => reloaded(model, { ...setting, rows: 64 }, (parts) => write(parts, text)),
};

const found = instructionSets();
const sets = "sets" in found ? found.sets : [];
/** Every model on every instruction set, and every format of the cache on two of them. */
const settings: readonly (readonly [string, string, CacheFormat])[] = sets.flatMap((set) => [
  ...Object.keys(models).map((model) => [model, set, "F16"] as const),
  ...(["stories", "gemma-3"] as const).flatMap((model) => (["Q8_0"] as const).map((cache) => [model, set, cache] as const)),
]);

describe.skipIf("reason" in found).each(settings)("%s on %s, cache in %s", (model, set, cache) => {
  const setting: Setting = { set, cache };
  let base: Base;
  let alone: Observed;
  beforeAll(async () => {
    const parts = await open(model, setting);
    base = { parts, text: prompt(promptLength, 1, parts.model.vocabularySize) };
    alone = await write(parts, base.text);
    expect(alone.ids.length).toBe(count);
  });
  afterAll(() => base.parts.dispose());

  test.each(Object.entries(ways))("%s", async (_, way) => {
    const result = await way(model, setting, base);
    for (const observed of Array.isArray(result) ? result : [result]) expect(parting(alone, observed as Observed)).toBeUndefined();
  });
});
