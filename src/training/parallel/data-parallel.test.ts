/** Several ranks learn what one learns: the same losses, with and without shards, and the bytes that the formulas say. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { onRanks } from "../../../testing/ranks.ts";
import { pack, reference, sourceOf, tinyTrainable } from "../../../testing/training.ts";
import type { LoadedModel } from "../../backends/backend.ts";
import { size as sizeOf } from "../../tensor/shape.ts";
import type { Kept, TrainingState } from "../checkpoint.ts";
import type { Collective, Traffic } from "../collective.ts";
import { runTraining, type RunStore } from "../run.ts";
import type { UpdateRule } from "../update-rule.ts";
import { adafactor } from "../update-rules/adafactor.ts";
import { adamw } from "../update-rules/adamw.ts";
import { dataParallel, type DataParallelOptions, silentStore } from "./data-parallel.ts";

const ids = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => 3 + ((from * 7 + 5 * i) % 50));
const steps = [1, 2, 3, 4].map((n) => [
  pack([ids(n, 6), ids(n + 10, 9), ids(n + 20, 4), ids(n + 30, 7), ids(n + 40, 5)], ["1", "2", "3", "4", "5"]),
]);

let model: Awaited<ReturnType<typeof tinyTrainable>>;
let numbers: number;
let alone: Ended;
beforeAll(async () => {
  model = await tinyTrainable();
  numbers = [...model.trained].reduce((sum, name) => sum + sizeOf(model.weights.get(name)!.shape), 0);
  [alone] = (await onRanks(1, (collective) => train(collective, { clip: 1 }))) as [Ended];
});
afterAll(() => model.close());

interface Ended {
  readonly losses: readonly number[];
  readonly norms: readonly number[];
  readonly evaluations: readonly number[];
  readonly embedding: Float32Array;
  readonly memory: LoadedModel["memory"];
  readonly bytes: { readonly shard: number; readonly waiting: number };
  readonly traffic: Traffic;
  readonly saved: ReadonlyMap<string, Float32Array>;
}
interface Trial extends Partial<DataParallelOptions> {
  readonly rule?: UpdateRule;
  readonly clip?: number;
  readonly steps?: number;
  readonly resumed?: RunStore["resumed"];
  readonly source?: ReturnType<typeof sourceOf>;
}

/** A training of one rank; rank 0 keeps its checkpoint in memory. */
async function train(collective: Collective, trial: Trial = {}): Promise<Ended> {
  const { rule = adamw(), steps: count = 4, resumed, source = sourceOf(steps), ...options } = trial;
  const made = dataParallel(model, rule, reference, { collective, evaluates: true, ...options });
  const saved = new Map<string, Float32Array>();
  const keeping: RunStore = {
    every: 100,
    resumed,
    async save(_: TrainingState, { sizes, read }: Kept) {
      for (const name of sizes.keys()) saved.set(name, await read(name));
    },
    record: async () => undefined,
  };
  const norms: number[] = [];
  let embedding = new Float32Array() as Float32Array;
  let memory = {} as LoadedModel["memory"];
  const training = runTraining({
    backend: made.backend,
    stepper: made.stepper,
    signal: made.signal,
    batches: source,
    steps: count,
    rateAt: () => 0.01,
    evaluation: { batches: [steps[0]![0]!], every: 2 },
    store: collective.rank === 0 ? keeping : silentStore(100, resumed),
    onLoaded: (loaded) => (memory = loaded.memory),
    onEnd: async (read) => void (embedding = await read("embedding")),
  });
  for await (const { gradientNorm } of training) norms.push(gradientNorm!);
  const { losses, evaluations } = await training;
  return {
    losses,
    norms,
    evaluations: evaluations.map(({ loss }) => loss),
    embedding,
    memory,
    bytes: made.bytes(),
    traffic: collective.traffic,
    saved,
  };
}

const expectNear = (got: readonly number[] | Float32Array, wanted: readonly number[] | Float32Array, tolerance: number): void => {
  expect(got.length).toBe(wanted.length);
  got.forEach((v, i) =>
    expect(Math.abs(v - wanted[i]!) / Math.max(1e-3, Math.abs(wanted[i]!)), `${v} for ${wanted[i]}`).toBeLessThan(tolerance),
  );
};

describe.each([
  { shards: "none", stages: 1 },
  { shards: "none", stages: 3 },
  { shards: "states", stages: 1 },
  { shards: "gradients", stages: 3 },
] as const)("shards: $shards, stages: $stages", ({ shards, stages }) => {
  it("1, 2 and 4 ranks give the same losses, and all hold the same weights", async () => {
    expect(alone.evaluations.at(-1)).toBeLessThan(alone.losses[0]! - 0.1);
    for (const size of [2, 4]) {
      const all = await onRanks(size, (collective) => train(collective, { shards, stages, clip: 1, bucketBytes: 20_000 }));
      for (const ended of all) {
        expectNear(ended.losses, alone.losses, 1e-6);
        expectNear(ended.evaluations, alone.evaluations, 1e-6);
        expectNear(ended.norms, alone.norms, 1e-5);
        expect(ended.embedding).toEqual(all[0]!.embedding);
      }
      // A checkpoint holds whole states, whoever kept what.
      const sizes = (of: Ended): unknown[] => [...of.saved].map(([name, { length }]) => [name, length]).sort();
      expect(sizes(all[0]!)).toEqual(sizes(alone));
    }
  });

  it("resumes with another number of ranks", async () => {
    const [half] = (await onRanks(2, (collective) => train(collective, { shards, stages, clip: 1, steps: 2 }))) as [Ended, Ended];
    const sizes = new Map([...half.saved].map(([name, { length }]) => [name, length]));
    const resumed = {
      state: { step: 2, data: { at: 2 }, ended: false },
      kept: { sizes, read: async (name: string) => half.saved.get(name)! },
      history: half.losses.map((loss, i) => ({ step: i + 1, steps: 4, loss, rate: 0.01, tokens: 1, tokensPerSecond: 1, secondsLeft: 0 })),
    };
    for (const size of [1, 3])
      for (const { losses } of await onRanks(size, (collective) => train(collective, { shards, stages, clip: 1, resumed })))
        expectNear(losses, alone.losses, 1e-6);
  });
});

it("moves as many bytes with shards as without: what a ring moves", async () => {
  for (const shards of ["none", "states", "gradients"] as const) {
    const all = await onRanks(4, (collective) => train(collective, { shards, steps: 1, source: sourceOf(steps) }));
    const ring = 2 * 3 * 4 * numbers; // of all four ranks
    const sent = all.reduce((sum, { traffic }) => sum + traffic.bytesSent, 0);
    // Beside gradients and weights: a few sums, and the states of the checkpoint where they are sharded.
    const checkpoint = shards === "none" ? 0 : 2 * ring;
    expect(sent - checkpoint).toBeGreaterThanOrEqual(ring);
    expect(sent - checkpoint - ring).toBeLessThan(2000);
  }
});

it("keeps the part of states and gradients that ZeRO's formulas say", async () => {
  const fixed = [...model.weights].reduce((sum, [name, { shape }]) => sum + (model.trained.has(name) ? 0 : 4 * sizeOf(shape)), 0);
  const near = (bytes: number, formula: number): void => expect(Math.abs(bytes / formula - 1), `${bytes} of ${formula}`).toBeLessThan(0.05);
  for (const size of [2, 4]) {
    for (const { memory } of await onRanks(size, (collective) => train(collective, { shards: "states", steps: 1 })))
      near(memory.weights - fixed, numbers * (4 + 4 + 8 / size));
    for (const { memory, bytes } of await onRanks(size, (collective) =>
      train(collective, { shards: "gradients", steps: 1, bucketBytes: 16_000 }),
    )) {
      near(memory.weights - fixed + bytes.shard, numbers * (4 + (4 + 8) / size));
      // What a stage found and has not sent: never all.
      expect(bytes.waiting).toBeLessThan(0.8 * 4 * numbers);
    }
  }
});

it("sends gradients while the way back still runs, where it has stages", async () => {
  const order = await onRanks(2, async (collective) => {
    const seen: string[] = [];
    const watched: Collective = { ...collective, allReduce: (sums) => (seen.push("sum"), collective.allReduce(sums)) };
    const made = dataParallel(model, adamw(), reference, { collective: watched, evaluates: false, stages: 3, bucketBytes: 4096 });
    const load: typeof reference.load = async (...given) => {
      const loaded = await reference.load(...given);
      return { ...loaded, run: (call) => (seen.push(call.program), loaded.run(call)) };
    };
    await runTraining({ ...made, backend: { ...reference, load }, batches: sourceOf(steps), steps: 1, rateAt: () => 0.01 });
    return seen;
  });
  for (const seen of order) {
    expect(seen.filter((name) => name !== "sum")).toEqual(["forward", "stage2", "stage1", "stage0", "update"]);
    expect(seen.indexOf("sum")).toBeLessThan(seen.indexOf("stage0"));
  }
});

it("adds up the batches of a step, shared as they are or cut in two", async () => {
  const lists = (count: number): ReturnType<typeof sourceOf> =>
    sourceOf([Array.from({ length: count }, (_, i) => pack([ids(i, 6), ids(i + 10, 7)], ["1", "2"], 1 / count))]);
  for (const count of [2, 3]) {
    const [alone] = (await onRanks(1, (collective) => train(collective, { source: lists(count) }))) as [Ended];
    for (const stages of [1, 3])
      for (const { losses } of await onRanks(2, (collective) => train(collective, { source: lists(count), stages })))
        expectNear(losses, alone.losses, 1e-6);
  }
});

it("keeps parameters whole where the rule needs them so", async () => {
  const [alone] = (await onRanks(1, (collective) => train(collective, { rule: adafactor() }))) as [Ended];
  for (const ended of await onRanks(2, (collective) => train(collective, { rule: adafactor(), shards: "states" })))
    expectNear(ended.losses, alone.losses, 1e-5);
});

it("gives ranks without examples nothing to do", async () => {
  const few = (): ReturnType<typeof sourceOf> => sourceOf([[pack([ids(1, 6)], ["1"])]]);
  const [alone] = (await onRanks(1, (collective) => train(collective, { source: few() }))) as [Ended];
  for (const { losses } of await onRanks(4, (collective) => train(collective, { source: few() }))) expectNear(losses, alone.losses, 1e-6);
});

it("stops all ranks after the same step, with a checkpoint, where one is asked to", async () => {
  const stop = new AbortController();
  const seen: number[] = [];
  const ends = await Promise.allSettled(
    await onRanks(2, async (collective) => {
      const made = dataParallel(model, adamw(), reference, {
        collective,
        evaluates: false,
        ...(collective.rank === 0 ? { signal: stop.signal } : {}),
      });
      const saves: number[] = [];
      const save = async ({ step }: TrainingState): Promise<void> => void saves.push(step);
      const training = runTraining({
        ...made,
        batches: sourceOf(steps),
        steps: 50,
        rateAt: () => 0.01,
        store: { every: 100, save, record: async () => undefined },
      });
      return [
        (async () => {
          for await (const { step } of training) {
            if (collective.rank === 0 && step === 2) stop.abort(new Error("enough"));
            seen.push(step);
          }
        })().catch((error: unknown) => [saves, error]),
      ];
    }).then((all) => all.flat()),
  );
  const found = ends.map((end) => (end.status === "fulfilled" ? (end.value as unknown as [number[], Error]) : undefined)!);
  expect(found[0]![0]).toEqual(found[1]![0]);
  expect(found[0]![0][0]).toBeLessThan(5);
  expect(found[0]![1].message).toBe("enough");
  expect(found[1]![1].name).toBe("AbortError");
});

it("a loss that is no number ends all ranks alike", async () => {
  const broken = pack([ids(1, 6), ids(2, 6)], ["a", "b"]);
  broken.inputs["lossWeights"]![9] = NaN;
  const errors = await onRanks(2, (collective) =>
    train(collective, { source: sourceOf([[broken]]) }).then(
      () => undefined,
      (error: Error) => error.message,
    ),
  );
  for (const message of errors) expect(message).toMatch(/step 1, whose examples are a, b/);
});

it("refuses options that make no sense", async () => {
  const [collective] = await onRanks(1, async (each) => each);
  const make = (options: object) => () =>
    dataParallel(model, adamw(), reference, { collective: collective!, evaluates: false, ...options });
  expect(make({ bucketBytes: 3 })).toThrow(/at least 4, got 3/);
  expect(make({ bucketByte: 8 })).toThrow(/did you mean bucketBytes/);
  expect(make({ stages: 0 })).toThrow(/stages is 0/);
  expect(make({ stages: 2, recompute: { segments: 2, symbols: { T: 1, S: 1, C: 0, R: 1 } } })).toThrow(/leave out recompute/);
  expect(make({ lossScale: true })).toThrow(/one worker/);
});
