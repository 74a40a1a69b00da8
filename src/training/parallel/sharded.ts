/**
 * ZeRO (Rajbhandari et al. 2020, arXiv 1910.02054): each rank keeps the optimizer's states of its shard alone, gets the sums of its shard's
 * gradients (reduce-scatter), updates it, and gives it to the others (all-gather). Whether a rank keeps
 * whole gradients until then (ZeRO-1) or never (ZeRO-2) is up to their source.
 */
import type { Backend, LoadedModel } from "../../backends/backend.ts";
import { size } from "../../tensor/shape.ts";
import type { Collective } from "../collective.ts";
import type { Stepper } from "../stepper.ts";
import type { Trainable } from "../trainable.ts";
import type { UpdateRule } from "../update-rule.ts";
import { type Bucket, bucketsOf, lengthOf, within } from "./buckets.ts";
import type { Making } from "./data-parallel.ts";
import { reduceGradients, sumOf } from "./reduction.ts";
import { evaluateShared, noSymbols } from "./replicated.ts";
import { shareOf } from "./share.ts";
import { cutsWithin, shardsOf } from "./shards.ts";
import { shardUpdate, summedName } from "./shard-update.ts";

export interface Sharding {
  readonly model: Trainable;
  readonly rule: UpdateRule;
  readonly backend: Backend;
  readonly clip: number | undefined;
}

export function shardedStepper(
  making: Making,
  { model, rule, backend, clip }: Sharding,
): { readonly stepper: Stepper; readonly backend: Backend; readonly shardBytes: number } {
  const { collective, programs, source, agreement, evaluates } = making;
  const { graphs, states } = programs;
  const { parameters } = source;
  const shapes = new Map(parameters.map((name) => [name, programs.weights.get(name)!.shape]));
  const buckets = bucketsOf(parameters, shapes, making.bucketBytes);
  const shards = shardsOf(parameters, shapes, collective.size, rule.elementwise === true);
  const pieces = shards.of(collective.rank);
  const [first, end] = shards.cuts.slice(collective.rank) as [number, number];
  const update = shardUpdate(pieces, shapes, rule, model.rateFactors);
  const weights = new Map(programs.weights);
  for (const [name, { shape, content }] of update.states) weights.set(name, { shape, content });
  // This rank's numbers, one piece after the other.
  const gradients = new Float32Array(end - first);
  const own = (bucket: Bucket, numbers: Float32Array): { readonly part: Float32Array; readonly at: number; readonly cuts: number[] } => {
    const cuts = cutsWithin(shards, bucket.start, numbers.length);
    const [from, to] = cuts.slice(collective.rank) as [number, number];
    return { part: numbers.subarray(from, to), at: bucket.start + from - first, cuts };
  };
  const sum = async (bucket: Bucket, numbers: Float32Array): Promise<void> => {
    const { part, at, cuts } = own(bucket, numbers);
    await collective.reduceScatter(numbers, cuts);
    if (part.length > 0) gradients.set(part, at);
  };
  const spread = async (loaded: LoadedModel, updated: Float32Array): Promise<void> => {
    for (const bucket of buckets) {
      const numbers = new Float32Array(lengthOf(bucket));
      const { part, at, cuts } = own(bucket, numbers);
      if (part.length > 0) part.set(updated.subarray(at, at + part.length));
      await collective.allGather(numbers, cuts);
      for (const [i, name] of bucket.names.entries()) await loaded.writeWeight(name, within(numbers, bucket, i));
    }
  };
  const ofPiece = (numbers: Float32Array, { start, shape }: (typeof pieces)[number]): Float32Array =>
    numbers.subarray(start, start + size(shape));

  const stepper: Stepper = {
    graphs: { ...source.graphs, updateShard: update.graph, held: update.held, ...(evaluates ? { evaluate: graphs.evaluate } : {}) },
    weights,
    kept: [...parameters, ...states],
    trained: parameters,
    async step(loaded, batches, { rate, count }) {
      const ownLoss = await reduceGradients({ source, buckets, sum }, loaded, shareOf(batches, collective.rank, collective.size));
      const square = gradients.reduce((total, v) => total + v * v, 0);
      const [loss, wishes, squares] = (await sumOf(collective, [ownLoss, agreement.wish(), square])) as [number, number, number];
      agreement.hear(wishes);
      const gradientNorm = Math.sqrt(squares);
      if (!Number.isFinite(loss)) return { loss, gradientNorm };
      const inputs = Object.fromEntries(pieces.map((piece) => [summedName(piece.name), ofPiece(gradients, piece)]));
      const factor = clip === undefined ? 1 : Math.min(1, clip / (gradientNorm + 1e-6));
      const settings = { rate: Float32Array.of(rate), count: Float32Array.of(count), gradientFactor: Float32Array.of(factor) };
      const updated = new Float32Array(gradients.length);
      if (pieces.length > 0) {
        const into = Object.fromEntries(pieces.map((piece) => [piece.name, ofPiece(updated, piece)]));
        const outputs = await loaded.run({ program: "updateShard", symbols: noSymbols, inputs: { ...inputs, ...settings }, into });
        for (const piece of pieces) if (outputs[piece.name] !== into[piece.name]) ofPiece(updated, piece).set(outputs[piece.name]!);
      }
      await spread(loaded, updated);
      return { loss, gradientNorm };
    },
    evaluate: (loaded, batch) => evaluateShared(collective, loaded, batch),
  };
  return { stepper, backend: gathering(backend, collective, update.states, stepper), shardBytes: gradients.byteLength };
}

/** A backend whose models read and write sharded states by their whole names: all ranks read and write together, so checkpoints are the same for any number of ranks. */
function gathering(
  backend: Backend,
  collective: Collective,
  ofStates: ReturnType<typeof shardUpdate>["states"],
  { weights, kept, trained }: Stepper,
): Backend {
  const whole = new Set(kept.filter((name) => !trained.includes(name)));
  const mine = new Map([...ofStates].map(([name, state]) => [state.whole, { name, ...state }]));
  const at = (name: string): { readonly start: number; readonly end: number } => {
    const state = mine.get(name);
    if (state === undefined) return { start: 0, end: 0 };
    const start = state.piece.firstRow * size(state.shape.slice(1));
    return { start, end: start + size(state.shape) };
  };
  return {
    ...backend,
    async load(graphs, given, options) {
      const loaded = await backend.load(graphs, given, options);
      return {
        ...loaded,
        get memory() {
          return loaded.memory;
        },
        async readWeight(name) {
          if (!whole.has(name)) return loaded.readWeight(name);
          const numbers = new Float32Array(size(weights.get(name)!.shape));
          const { start } = at(name);
          const state = mine.get(name);
          if (state !== undefined) numbers.set(await loaded.readWeight(state.name), start);
          // Ranks hold disjoint parts, and zeros add nothing: the sum is the whole, whoever holds what.
          await collective.allReduce(numbers);
          return numbers;
        },
        async writeWeight(name, numbers) {
          if (!whole.has(name)) return loaded.writeWeight(name, numbers);
          const { start, end } = at(name);
          const state = mine.get(name);
          if (state !== undefined) await loaded.writeWeight(state.name, numbers.slice(start, end));
        },
      };
    },
  };
}
