/** The deferred head on real runs: the same texts as without it, whoever arrives, whatever is aborted, by any number of threads. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Backend } from "../backends/backend.ts";
import { createNativeBackend } from "../backends/native/backend.ts";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import type { FrugalError } from "../tensor/error.ts";
import { createDeferredHead } from "./deferred-head.ts";
import { guessToken } from "./guess.ts";
import { type LoadOptions, loadParts, type ModelParts } from "./load-parts.ts";
import { type FrugalModel, frugalModel } from "./model.ts";
import { sampling } from "./sampling.ts";
import type { GenerateOptions } from "./writer.ts";

const families = fileURLToPath(new URL("../../testing/fixtures/families/", import.meta.url));
const stories = fileURLToPath(new URL("../../models/stories/stories.gguf", import.meta.url));
const native = (threads: number): Backend | undefined => {
  const made = createNativeBackend({ threads });
  return "backend" in made ? made.backend : undefined;
};
const backends: readonly Backend[] = [createReferenceBackend(), native(1)].filter((backend) => backend !== undefined);
const prompt = [5, 17, 40, 99, 3, 64, 8];

interface Opened extends AsyncDisposable {
  readonly model: FrugalModel;
  readonly parts: ModelParts;
}
async function open(path: string, options: LoadOptions, shortlist = 3): Promise<Opened> {
  const parts = await loadParts(path, { deferredHead: "always", cache: "F32", context: 128, ...options }, { shortlist });
  const model = frugalModel(parts);
  return { model, parts, [Symbol.asyncDispose]: () => model.dispose() };
}
const write = async ({ model }: Opened, options: GenerateOptions = {}): Promise<readonly number[]> =>
  (await model.generate(prompt, { maxTokens: 40, ignoreEnd: true, ...options })).ids;

const ways: readonly (readonly [string, GenerateOptions])[] = [
  ["likeliest", {}],
  ["drawn", { temperature: 1, seed: 1 }],
  ["drawn with top-k", { temperature: 0.8, topK: 20, seed: 2 }],
  ["drawn with top-p", { temperature: 1.2, topP: 0.9, seed: 3 }],
  ["drawn with min-p", { temperature: 1, minP: 0.05, seed: 4 }],
  // These need the whole row: no guesses.
  ["penalised", { repetitionPenalty: 1.3 }],
  ["with log probabilities", { logprobs: 2 }],
  ["of a least length", { minTokens: 5, ignoreEnd: false }],
];

describe.each(backends.map((backend) => [backend.name, backend] as const))("%s", (_, backend) => {
  test.each(["gemma-2", "gemma-3", "llama-3", "granite", "qwen-3", "olmoe", "mixtral"])("%s writes the same with it", async (name) => {
    await using plain = await open(families + name, { backend, deferredHead: "off" });
    await using deferred = await open(families + name, { backend });
    for (const [way, options] of ways) expect(await write(deferred, options), way).toEqual(await write(plain, options));
    const { guessedTokens, confirmedTokens } = deferred.parts.engine!.stats();
    expect(guessedTokens).toBeGreaterThan(20);
    expect(confirmedTokens).toBeGreaterThan(0);
    // Shortlists of 3 of 131 are wrong now and then: that way is tried too.
    expect(confirmedTokens).toBeLessThan(guessedTokens);
    expect(plain.parts.engine!.stats().guessedTokens).toBe(0);
    deferred.parts.engine!.expectIdle();
  });

  // The reference would take minutes.
  test.skipIf(backend.name === "reference")("stories end where they end", async () => {
    await using plain = await open(stories, { backend, deferredHead: "off", context: 256 });
    await using deferred = await open(stories, { backend, context: 256 }, 16);
    for (const options of [{}, { stop: "mom" }, { maxTokens: 1 }, { maxTokens: 2 }, { maxTokens: 9 }, { temperature: 1, seed: 5 }]) {
      const [a, b] = await Promise.all([plain, deferred].map(({ model }) => model.generate("Lily went to the", options)));
      expect(b!.text).toBe(a!.text);
      expect([b!.finishReason, b!.stop, b!.ids]).toEqual([a!.finishReason, a!.stop, a!.ids]);
    }
    expect(deferred.parts.engine!.stats().guessedTokens).toBeGreaterThan(0);
    deferred.parts.engine!.expectIdle();
  });
});

const core = native(1);
describe.skipIf(core === undefined)("native", () => {
  const backend = core!;

  test("drawn tokens have the model's distribution: chi-square of 1500 draws", async () => {
    await using opened = await open(families + "llama-3", { backend, prefixCache: true });
    const temperature = 0.7;
    const counts = new Map<number, Map<number, number>>();
    for (let seed = 0; seed < 1500; seed++) {
      const { ids } = await opened.model.generate(prompt, { maxTokens: 3, ignoreEnd: true, temperature, topK: 4, seed });
      // The second token is the first that a round brings.
      const after = counts.get(ids[0]!) ?? new Map<number, number>();
      counts.set(ids[0]!, after.set(ids[1]!, (after.get(ids[1]!) ?? 0) + 1));
    }
    let [square, freedom] = [0, 0];
    for (const [first, found] of counts) {
      const [row] = await opened.model.logits([...prompt, first]);
      const total = [...found.values()].reduce((a, b) => a + b, 0);
      const kept = Array.from(row!.keys())
        .sort((a, b) => row![b]! - row![a]!)
        .slice(0, 4);
      const masses = kept.map((id) => Math.exp((row![id]! - row![kept[0]!]!) / temperature));
      const sum = masses.reduce((a, b) => a + b, 0);
      kept.forEach((id, i) => {
        const expected = (total * masses[i]!) / sum;
        square += ((found.get(id) ?? 0) - expected) ** 2 / expected;
      });
      freedom += kept.length - 1;
    }
    expect(opened.parts.engine!.stats().guessedTokens).toBeGreaterThan(1000);
    // Six standard deviations of a chi-square variable above its mean.
    expect(square).toBeLessThan(freedom + 6 * Math.sqrt(2 * freedom));
  }, 60_000);

  test("threads change nothing, not even which guesses are right", async () => {
    const runs: unknown[] = [];
    for (const threads of [1, 2, 3]) {
      await using opened = await open(families + "gemma-3", { backend: native(threads)! });
      const ids = await write(opened, { temperature: 1, seed: 9, maxTokens: 30 });
      runs.push([ids, opened.parts.engine!.stats().guessedTokens, opened.parts.engine!.stats().confirmedTokens]);
    }
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[2]).toEqual(runs[0]);
  });

  test("texts that arrive in between are served at once, and all are as alone", async () => {
    await using opened = await open(families + "llama-3", { backend, sequences: 3, cacheTokens: 384 });
    const alone: (readonly number[])[] = [];
    for (let seed = 0; seed < 3; seed++) alone.push(await write(opened, { temperature: 1, seed, maxTokens: 90 }));
    for (let round = 0; round < 5; round++) {
      const first = write(opened, { temperature: 1, seed: 0, maxTokens: 90 });
      await new Promise((resolve) => setTimeout(resolve, round));
      const others = [1, 2].map((seed) => write(opened, { temperature: 1, seed, maxTokens: 90 }));
      expect(await Promise.all([first, ...others])).toEqual(alone);
    }
    opened.parts.engine!.expectIdle();
  });

  test("an abort in the middle leaves the cache right", async () => {
    await using opened = await open(families + "gemma-2", { backend });
    const whole = await write(opened, { maxTokens: 100 });
    let aborted = 0;
    for (let after = 1; after < 60; after += 7) {
      const controller = new AbortController();
      const run = opened.model.generate(prompt, { maxTokens: 100, ignoreEnd: true, signal: controller.signal });
      let seen = 0;
      await (async () => {
        for await (const _ of run) if (++seen === after) controller.abort();
      })().then(
        () => undefined,
        () => aborted++,
      );
      // What is left of it is where the next begins.
      expect(await write(opened, { maxTokens: 100 })).toEqual(whole);
      opened.parts.engine!.expectIdle();
    }
    expect(aborted).toBeGreaterThan(3);
  });

  test("a full context ends the text where it does without", async () => {
    await using plain = await open(families + "llama-3", { backend, context: 64, deferredHead: "off" });
    await using deferred = await open(families + "llama-3", { backend, context: 64 });
    const [a, b] = [await write(plain, { maxTokens: 500 }), await write(deferred, { maxTokens: 500 })];
    expect(b).toEqual(a);
    expect(b.length).toBe(64 + 1 - prompt.length);
  });

  test("small vocabularies are left alone unless asked for; its copy is counted", async () => {
    const memory = async (deferredHead: "auto" | "always"): Promise<readonly [number, number]> => {
      await using opened = await open(families + "llama-3", { backend, deferredHead });
      await write(opened);
      return [opened.parts.loaded.memory.weights, opened.parts.engine!.stats().guessedTokens];
    };
    const [auto, always] = [await memory("auto"), await memory("always")];
    expect(auto[1]).toBe(0);
    expect(always[0]).toBeGreaterThan(auto[0]);
  });

  test("modes that there are not are refused", async () => {
    const wrong = { backend, deferredHead: "sometimes" as never };
    await expect(loadParts(families + "llama-3", wrong)).rejects.toThrow(/deferredHead is "sometimes"; it may be auto, off, always/);
  });
});

test("a guess is what the sampler chooses of the shortlist, lower ids first among equals", () => {
  const [ids, logits] = [Int32Array.of(70, 4, 30, 12), Float32Array.of(2, 3, 3, -1)];
  expect(guessToken(ids, logits, sampling({}, 100), 5)).toBe(4);
  const drawn = Array.from({ length: 400 }, (_, seed) => guessToken(ids, logits, sampling({ temperature: 1, seed }, 100), 5));
  expect(new Set(drawn)).toEqual(new Set(ids));
  expect(() => guessToken(ids, new Float32Array(4).fill(-Infinity), sampling({}, 100), 5)).toThrow(
    expect.objectContaining({ code: "FRUGAL_NUMERIC" }) as FrugalError,
  );
});

describe("auto", () => {
  const head = (): ReturnType<typeof createDeferredHead> =>
    createDeferredHead(undefined as never, { mode: "auto", width: 4, vocabularySize: 9, context: 99, outputRows: 8 }, []);
  const request = (): never =>
    ({
      guess: () => undefined,
      started: true,
      hasBegun: true,
      ended: false,
      sequence: { tokens: [1, 2], drafts: [], computed: 1, pages: [], cached: 0 },
    }) as never;
  const runs = (one: ReturnType<typeof createDeferredHead>): boolean => one.candidate(new Set([request()])) !== undefined;

  test("measures whole steps first, and stays with what is faster", () => {
    const one = head();
    expect(runs(one)).toBe(false);
    for (let i = 0; i < 3; i++) one.stepped(10);
    expect(runs(one)).toBe(true);
    one.judged(8, 8, 8 * 6);
    expect(runs(one)).toBe(true);
    for (let i = 0; i < 20; i++) one.judged(8, 4, 80);
    expect(runs(one)).toBe(false);
    // It is tried again, for the machine may have had other work.
    for (let i = 0; i < 512; i++) one.stepped(10);
    expect(runs(one)).toBe(true);
  });

  test("rounds are as long as guesses are right", () => {
    const one = head();
    expect(one.length(request())).toBe(8);
    for (let i = 0; i < 4; i++) one.judged(one.length(request()), 1, 1);
    expect(one.length(request())).toBe(2);
    for (let i = 0; i < 9; i++) one.judged(one.length(request()), one.length(request()), 1);
    expect(one.length(request())).toBe(8);
  });

  test("leaves texts with an adapter, with proposed tokens or in company to whole steps", () => {
    const one = head();
    for (let i = 0; i < 3; i++) one.stepped(10);
    const change = (changes: object): never => ({ ...(request() as object), ...changes }) as never;
    expect(one.candidate(new Set([request(), request()]))).toBeUndefined();
    for (const changes of [{ adapter: 0 }, { guess: undefined }, { started: false }, { ended: true }])
      expect(one.candidate(new Set([change(changes)]))).toBeUndefined();
    expect(
      one.candidate(new Set([change({ sequence: { tokens: [1, 2], drafts: [3], computed: 1, pages: [], cached: 0 } })])),
    ).toBeUndefined();
  });
});
