/**
 * The same answer alone and in a crowd: every row of logits of a text has the same bits whatever else the engine does with it and beside it.
 * Each way is compared with the text written alone, its prompt in one step.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CacheFormat } from "../../src/backends/backend.ts";
import { pageSize } from "../../src/ops/cache.ts";
import type { LoadOptions, ModelParts } from "../../src/serving/load-parts.ts";
import { sampling } from "../../src/serving/sampling.ts";
import { createSequence } from "../../src/serving/sequence.ts";
import type { DecodeStrategy } from "../../src/serving/strategy.ts";
import { promptLookup } from "../../src/techniques/decoding/prompt-lookup.ts";
import { coreBackends } from "../backends.ts";
import { models, observe, type Observed, open, parting, prompt, type Setting, type Text } from "./observe.ts";

/** Together they pass the end of the second page. */
const [promptLength, count] = [2 * pageSize - 6, 12];
const drawn = { temperature: 1, seed: 11 } as const;

interface Base {
  readonly model: string;
  readonly setting: Setting;
  readonly parts: ModelParts;
  readonly text: readonly number[];
  readonly alone: Observed;
}

const write = (parts: ModelParts, text: readonly number[], more: Partial<Text> = {}): Promise<Observed> =>
  observe(parts.engine!, { prompt: text, count, sampling: drawn, ...more });

const other = ({ parts }: Pick<Base, "parts">, length: number, salt: number): number[] => prompt(length, salt, parts.model.vocabularySize);

/** A model that has nothing of the text cached. */
async function fresh<T>({ model, setting }: Base, changes: Partial<Setting>, work: (parts: ModelParts) => Promise<T>): Promise<T> {
  const parts = await open(model, { ...setting, ...changes });
  try {
    const result = await work(parts);
    parts.engine!.expectIdle();
    return result;
  } finally {
    await parts.dispose();
  }
}

const among =
  (others: number): Way =>
  async (base) => {
    const { parts, text } = base;
    const beside = Array.from({ length: others }, (_, i) => write(parts, other(base, 1 + ((i * 13) % 60), i + 2)));
    const [own] = await Promise.all([write(parts, text), ...beside]);
    return own!;
  };

const inSteps =
  (rows: number): Way =>
  (base) =>
    fresh(base, { rows }, (parts) => write(parts, base.text));

/** After a text that has the first `common` tokens of this one. */
const afterPrefix =
  (common: number): Way =>
  (base) =>
    fresh(base, {}, async (parts) => {
      await write(parts, [...base.text.slice(0, common), ...other(base, 20, 9)]);
      const sequence = createSequence(base.text);
      const observed = await write(parts, base.text, { sequence });
      expect(sequence.cached).toBe(common);
      return observed;
    });

/** Beside a longer text that came first: of five pages that one needs four, and this one has to give its two. */
const pressed =
  (where: "disk" | "nowhere"): Way =>
  async (base) => {
    const directory = await mkdtemp(join(tmpdir(), "frugal-invariance-"));
    const options: LoadOptions = { cacheTokens: 5 * pageSize, ...(where === "disk" ? { spillDirectory: directory } : {}) };
    try {
      return await fresh(base, { options }, async (parts) => {
        const longer = write(parts, other(base, promptLength, 2), { count: 45 });
        const own = await write(parts, base.text);
        await longer;
        const { preemptions, spilledPages } = parts.engine!.stats();
        // Texts that only windows look back at fit beside each other.
        if (parts.tables.every(({ window }) => window !== undefined)) return own;
        expect(preemptions).toBeGreaterThan(0);
        if (where === "disk") expect(spilledPages).toBeGreaterThan(0);
        return own;
      });
    } finally {
      await rm(directory, { recursive: true });
    }
  };

const speculating =
  (strategyOf: (base: Base) => DecodeStrategy): Way =>
  async (base) => {
    const before = base.parts.engine!.stats().draftedTokens;
    const observed = await write(base.parts, base.text, { strategy: strategyOf(base) });
    expect(base.parts.engine!.stats().draftedTokens).toBeGreaterThan(before);
    return observed;
  };
/** Right up to every third token. */
const mostlyRight = ({ alone: { ids }, parts }: Base): DecodeStrategy => ({
  propose: (tokens, most) =>
    ids
      .slice(tokens.length - promptLength, tokens.length - promptLength + most)
      .map((id, i) => ((tokens.length + i) % 3 === 0 ? (id + 1) % parts.model.vocabularySize : id)),
  judged() {},
});

type Way = (base: Base) => Promise<Observed>;
const ways: Readonly<Record<string, Way>> = {
  "with 1 other": among(1),
  "with 2 others": among(2),
  "with 7 others": among(7),
  "with 15 others": among(15),
  "1 token of the prompt a step": inSteps(1),
  "7 tokens of the prompt a step": inSteps(7),
  "64 tokens of the prompt a step": inSteps(64),
  "after a text with the same page": afterPrefix(pageSize),
  "after a text with part of a page in common": afterPrefix(pageSize + 13),
  "written to disk and read back": pressed("disk"),
  "thrown out and computed again": pressed("nowhere"),
  "with proposals that are mostly right": speculating(mostlyRight),
  "with proposals from the text itself": speculating(() => promptLookup({ shortest: 1 }).start(sampling(drawn, 131))),
};

/** Every model on every backend of the core, and every format of the cache on two of them. */
const settings: readonly (readonly [string, string, CacheFormat])[] = coreBackends.flatMap(({ name: set }) => [
  ...Object.keys(models).map((model) => [model, set, "F16"] as const),
  ["llama-3", set, "Q8_0"] as const,
  ["gemma-3", set, "Q4_0"] as const,
]);

describe.each(settings)("%s on %s, cache in %s", (model, backend, cache) => {
  const setting: Setting = { backend, cache };
  let base: Base;
  beforeAll(async () => {
    const parts = await open(model, setting);
    const text = prompt(promptLength, 1, parts.model.vocabularySize);
    const alone = await write(parts, text);
    expect(alone.ids.length).toBe(count);
    base = { model, setting, parts, text, alone };
  });
  afterAll(() => base.parts.dispose());

  test.each(Object.entries(ways))("%s", async (_, way) => {
    expect(parting(base.alone, await way(base))).toBeUndefined();
  });

  test("gone on with in another text", async () => {
    const { parts, text, alone } = base;
    const half = count / 2;
    const rest = await write(parts, [...text, ...alone.ids.slice(0, half)], { count: count - half });
    expect(parting({ ids: alone.ids.slice(half), rows: alone.rows.slice(half) }, rest)).toBeUndefined();
  });
});

test("on two threads as on one", async () => {
  const setting = { backend: coreBackends[0]!.name, cache: "F16" } as const;
  const [one, two] = [await open("gemma-3", setting), await open("gemma-3", { ...setting, threads: 2 })];
  const text = prompt(promptLength, 1, one.model.vocabularySize);
  expect(parting(await write(one, text), await write(two, text))).toBeUndefined();
  await Promise.all([one.dispose(), two.dispose()]);
});

test("a text that differs is seen to differ", async () => {
  const parts = await open("llama-3", { backend: coreBackends[0]!.name, cache: "F16" });
  const text = prompt(promptLength, 1, parts.model.vocabularySize);
  const [a, b] = [await write(parts, text), await write(parts, [...text.slice(0, -1), 5])];
  expect(parting(a, b)).toMatch(/logits differ at written token 0/);
  await parts.dispose();
});
