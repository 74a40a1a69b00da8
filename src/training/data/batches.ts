/** Examples to steps, and steps to batches: in which order, how many at once, and what is packed together. */
import type { Symbols } from "../../graph/dim.ts";
import { FrugalError } from "../../tensor/error.ts";
import { wholeNumber } from "../../tensor/options.ts";
import type { Batch, BatchSource } from "../batch.ts";
import { type Example, type Preference, scoredCount } from "./example.ts";
import { firstFitDecreasing } from "./first-fit.ts";
import { epochOrder, type Order } from "./order.ts";
import { packBatch, type PackOptions, rowsOf } from "./pack.ts";

export interface BatchOptions extends Omit<PackOptions, "marksSequences"> {
  /** Every step takes so many; where an epoch ends in the middle of a step, the next one begins. Default 1, without `tokensPerStep`. */
  readonly examplesPerStep?: number | undefined;
  /** Every step takes what fits into so many rows, chosen within a window by length so that few rows are left over. */
  readonly tokensPerStep?: number | undefined;
  /** Examples that are packed by length together. Default 1024. */
  readonly window?: number | undefined;
  /** Most rows of a batch: a step of more is several batches, whose gradients add up. Default: no limit. */
  readonly rows?: number | undefined;
  /** Default "shuffled": by `seed`, anew in every epoch. */
  readonly order?: Order | undefined;
  readonly seed?: number | undefined;
  /** How often every example is seen; no end where absent. */
  readonly epochs?: number | undefined;
}

export interface ExampleBatches extends BatchSource {
  /** Where there are epochs; those of `tokensPerStep` vary a little when shuffled. */
  readonly expectedSteps: number | undefined;
}

/** What cannot be taken apart: an example, or both answers of a preference. */
interface Unit {
  readonly sequences: readonly Example[];
  readonly rows: number;
  readonly scored: number;
}

/** Position in the data: the epoch, the place in its order, and in `tokensPerStep` the steps taken of the window that begins there. */
interface Position {
  epoch: number;
  index: number;
  taken: number;
}

/** Throws FRUGAL_BAD_ARGUMENT for options that do not fit the examples. `resume` throws it for a state of other examples. */
export function createBatches(examples: readonly (Example | Preference)[], options: BatchOptions = {}): ExampleBatches {
  const { virtualTokens = 0, rows, tokensPerStep, order = "shuffled", seed = 0, epochs = Infinity, window = 1024 } = options;
  const units = examples.map((example) => unitOf(example, virtualTokens));
  checkBatches(units, options);
  const perStep = options.examplesPerStep ?? 1;
  const identity = { examples: units.length, rows: sum(units.map((unit) => unit.rows)) };
  const position: Position = { epoch: 0, index: 0, taken: 0 };
  let current: { readonly epoch: number; readonly order: Int32Array } | undefined;
  const orderOf = (epoch: number): Int32Array => {
    if (current?.epoch !== epoch) current = { epoch, order: epochOrder(units.length, order, seed, epoch) };
    return current.order;
  };
  const nextEpoch = (): void => {
    if (position.index < units.length) return;
    position.index = 0;
    position.epoch++;
  };
  const byCount = (): Unit[] => {
    const step: Unit[] = [];
    for (; step.length < perStep && position.epoch < epochs; nextEpoch()) step.push(units[orderOf(position.epoch)[position.index++]!]!);
    return step;
  };
  const windowAt = (epoch: number, index: number): Unit[] => [...orderOf(epoch).subarray(index, index + window)].map((i) => units[i]!);
  const byLength = (capacity: number): Unit[] => {
    if (position.epoch >= epochs) return [];
    const some = windowAt(position.epoch, position.index);
    const bins = packed(some, capacity);
    const step = bins[position.taken++]!.map((i) => some[i]!);
    if (position.taken === bins.length) {
      position.index += window;
      position.taken = 0;
      nextEpoch();
    }
    return step;
  };
  const stepsIn = (capacity: number): number => {
    let steps = 0;
    for (let index = 0; index < units.length; index += window) steps += packed(windowAt(0, index), capacity).length;
    return steps;
  };
  return {
    async next() {
      const step = tokensPerStep === undefined ? byCount() : byLength(tokensPerStep);
      return step.length === 0 ? undefined : batchesOf(step, rows, options);
    },
    state: () => ({ ...position, ...identity }),
    resume(state) {
      const { epoch, index, taken, ...of } = checkState(state);
      if (of.examples !== identity.examples || of.rows !== identity.rows)
        throw new FrugalError(
          "FRUGAL_BAD_ARGUMENT",
          `data: the training to resume had ${of.examples} examples of ${of.rows} rows, these are ${identity.examples} of ${identity.rows}; give the same data`,
          { wanted: of.examples, got: identity.examples },
        );
      if (index >= units.length) throw damaged(`index ${index} of ${units.length} examples`);
      const steps = tokensPerStep === undefined ? 1 : packed(windowAt(epoch, index), tokensPerStep).length;
      if (taken >= steps) throw damaged(`taken ${taken} of ${steps} steps`);
      Object.assign(position, { epoch, index, taken });
    },
    caps: capsOf(units, options),
    expectedSteps: Number.isFinite(epochs)
      ? tokensPerStep === undefined
        ? Math.ceil((units.length * epochs) / perStep)
        : epochs * stepsIn(tokensPerStep)
      : undefined,
  };
}

/** All examples once, in order, as batches of at most `rows` rows whose loss weights sum to 1: for evaluation. */
export function packAll(examples: readonly Example[], options: PackOptions & { readonly rows?: number | undefined } = {}): Batch[] {
  const units = examples.map((example) => unitOf(example, options.virtualTokens));
  checkBatches(units, options);
  return batchesOf(units, options.rows, options);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);

const packed = (units: readonly Unit[], capacity: number): number[][] =>
  firstFitDecreasing(
    units.map(({ rows }) => rows),
    capacity,
  );

function unitOf(example: Example | Preference, virtualTokens = 0): Unit {
  const sequences = "chosen" in example ? [example.chosen, example.rejected] : [example];
  return {
    sequences,
    rows: sum(sequences.map((each) => rowsOf(each, virtualTokens))),
    scored: sum(sequences.map((each) => scoredCount(each, virtualTokens))),
  };
}

/** The mean is over the scored tokens of the whole step; of preferences, over their pairs. */
function batchesOf(step: readonly Unit[], rows: number | undefined, options: PackOptions): Batch[] {
  const isPairs = step[0]!.sequences.length > 1;
  const weight = 1 / (isPairs ? step.length : sum(step.map(({ scored }) => scored)));
  const bins = rows === undefined ? [step] : packed(step, rows).map((bin) => bin.map((i) => step[i]!));
  return bins.map((bin) =>
    packBatch(
      bin.flatMap(({ sequences }) => sequences),
      weight,
      { ...options, marksSequences: isPairs },
    ),
  );
}

/** Bounds, not the largest batch there will be: that depends on the order. */
function capsOf(units: readonly Unit[], options: BatchOptions): Symbols {
  const { tokensPerStep, examplesPerStep = 1, rows = Infinity, window = 1024, virtualTokens } = options;
  const atOnce = tokensPerStep === undefined ? examplesPerStep : Math.min(window, units.length);
  const often = tokensPerStep === undefined ? repeats(units.length, atOnce, options) : 1;
  const most = (of: (unit: Unit) => number): number => {
    const sizes = units.map(of).sort((a, b) => b - a);
    let [left, total] = [atOnce, 0];
    for (let i = 0; left > 0; left -= often, i++) total += Math.min(left, often) * sizes[i]!;
    return total;
  };
  const T = Math.min(
    rows,
    tokensPerStep ?? Infinity,
    most((unit) => unit.rows),
  );
  const shortest = units.reduce(
    (least, { sequences }) => Math.min(least, ...sequences.map((each) => rowsOf(each, virtualTokens))),
    Infinity,
  );
  const S = Math.min(
    Math.floor(T / shortest),
    most(({ sequences }) => sequences.length),
  );
  const R = Math.min(
    T,
    most(({ scored }) => scored),
  );
  return { T, S, C: 0, R };
}

/** How often a step may take the same example: an epoch may end within a step, and the next begin with what the last ended with. */
function repeats(count: number, atOnce: number, { order, epochs = Infinity }: BatchOptions): number {
  const spans = order === "file" ? Math.ceil(atOnce / count) : atOnce === 1 ? 1 : Math.floor((atOnce - 2) / count) + 2;
  return Math.min(epochs, spans);
}

function checkBatches(
  units: readonly Unit[],
  { examplesPerStep, tokensPerStep, rows, order, seed, epochs, window, virtualTokens }: BatchOptions,
): void {
  for (const [name, value] of Object.entries({ examplesPerStep, tokensPerStep, rows, epochs, window })) wholeNumber("data", name, value, 1);
  wholeNumber("data", "seed", seed, 0);
  wholeNumber("data", "virtualTokens", virtualTokens, 0);
  const fail = (problem: string, field: string): never => {
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `data: ${problem}`, { option: field });
  };
  if (order !== undefined && order !== "file" && order !== "shuffled")
    fail(`order is ${JSON.stringify(order)}; it may be "file" or "shuffled"`, "order");
  if (examplesPerStep !== undefined && tokensPerStep !== undefined)
    fail("examplesPerStep and tokensPerStep both say how large a step is; give one of them", "tokensPerStep");
  if (units.length === 0) fail("there are no examples to learn from; give some", "examples");
  if (new Set(units.map(({ sequences }) => sequences.length)).size > 1)
    fail("examples and preferences are mixed; train on one kind", "examples");
  const empty = units.find(({ scored }) => scored === 0);
  if (empty !== undefined) fail(`${empty.sequences[0]!.name}: nothing is to be predicted; leave it out`, "examples");
  for (const [name, limit] of Object.entries({ rows, tokensPerStep })) {
    const long = units.find((unit) => unit.rows > (limit ?? Infinity));
    if (long !== undefined)
      fail(`${long.sequences[0]!.name}: has ${long.rows} rows, more than the ${limit} of ${name}; allow more or shorten it`, name);
  }
}

function checkState(state: unknown): Position & { readonly examples: number; readonly rows: number } {
  const given = (typeof state === "object" && state !== null ? state : {}) as Readonly<Record<string, unknown>>;
  const number = (name: string): number => {
    const value = given[name];
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    throw damaged(`${name} ${JSON.stringify(value)}`);
  };
  return { epoch: number("epoch"), index: number("index"), taken: number("taken"), examples: number("examples"), rows: number("rows") };
}

const damaged = (what: string): FrugalError =>
  new FrugalError("FRUGAL_BAD_FILE", `data: the state to resume from has ${what}; the checkpoint is damaged, or of other options`);
