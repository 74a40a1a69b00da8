/**
 * Where each buffer lies in one arena, as a polynomial in the symbols, so that the plan holds for every run.
 * Buffers are placed largest first, each into the tightest gap between those that live at the same time
 * (greedy by size, Pisarchyk and Lee 2020, arXiv 2001.03288); a gap must be there whatever the symbols are.
 */
import type { Symbols } from "../graph/dim.ts";
import { add, elements, evaluatePolynomial, type Polynomial } from "../graph/polynomial.ts";
import { sourceOps, type Value } from "../graph/value.ts";
import { allOps } from "../ops/builder.ts";

export interface PlannedBuffer {
  /** In elements of 4 bytes. */
  readonly size: Polynomial;
  /** The first step that writes it and the last that reads it, both included: at these steps nothing else may lie there. */
  readonly from: number;
  readonly to: number;
}

export interface MemoryPlan {
  /** By buffer, in elements of 4 bytes; multiples of 16 (64 bytes) but for large products of symbols such as T·T, which are not padded. */
  readonly offsets: readonly Polynomial[];
  readonly size: Polynomial;
}

/** Only decides which of two gaps is tighter; the plan holds for all symbols. */
const usual: Symbols = { T: 256, S: 8, C: 64, R: 8 };
const alignment = 16;
/** In elements, at the usual symbols. */
const largestPadding = 1 << 14;

/** Coefficients by monomial, in one order for all: plans of training hold tens of thousands of buffers. */
type Coefficients = readonly number[];

interface Placed {
  readonly buffer: PlannedBuffer;
  readonly start: Coefficients;
  readonly end: Coefficients;
  readonly usualStart: number;
}

export function planMemory(buffers: readonly PlannedBuffer[]): MemoryPlan {
  // What would be large if padded (scores of attention: 16·T·T in place of T·T) lies above all others, as it is.
  const padded = buffers.map(({ size }) => aligned(size));
  const exact = buffers.map(({ size }, i) => evaluatePolynomial(padded[i]!, usual) - evaluatePolynomial(size, usual) > largestPadding);
  const low = place(buffers.map((buffer, i) => ({ ...buffer, size: exact[i] ? new Map() : padded[i]! })));
  const high = place(buffers.map((buffer, i) => ({ ...buffer, size: exact[i] ? buffer.size : new Map() })));
  return { offsets: buffers.map((_, i) => (exact[i] ? add(low.size, high.offsets[i]!) : low.offsets[i]!)), size: add(low.size, high.size) };
}

/** Each coefficient rounded up, so that sums of sizes stay aligned whatever the symbols are. */
const aligned = (size: Polynomial): Polynomial =>
  new Map([...size].map(([m, v]) => [m, Math.ceil(Math.max(0, v) / alignment) * alignment]));

function place(buffers: readonly PlannedBuffer[]): MemoryPlan {
  const monomials = [...new Set(buffers.flatMap(({ size }) => [...size.keys()]))].sort();
  const weights = monomials.map((m) => evaluatePolynomial(new Map([[m, 1]]), usual));
  const sizes = buffers.map(({ size }) => monomials.map((m) => Math.max(0, size.get(m) ?? 0)));
  const usualSizes = sizes.map((size) => weighed(size, weights));
  const order = buffers.map((_, i) => i).sort((a, b) => usualSizes[b]! - usualSizes[a]! || buffers[a]!.from - buffers[b]!.from || a - b);

  const offsets: Polynomial[] = buffers.map(() => new Map());
  const placed: Placed[] = []; // sorted by usualStart
  let arena: Coefficients = monomials.map(() => 0);
  const polynomial = (coefficients: Coefficients): Polynomial =>
    new Map(monomials.flatMap((m, k) => (coefficients[k] === 0 ? [] : [[m, coefficients[k]!] as const])));
  for (const i of order) {
    if (usualSizes[i] === 0) break;
    const buffer = buffers[i]!;
    const neighbours = placed.filter((other) => other.buffer.from <= buffer.to && buffer.from <= other.buffer.to);
    const start = tightestGap(neighbours, sizes[i]!, weights);
    const end = start.map((v, k) => v + sizes[i]![k]!);
    const usualStart = weighed(start, weights);
    offsets[i] = polynomial(start);
    arena = arena.map((v, k) => Math.max(v, end[k]!));
    placed.splice(firstAbove(placed, usualStart), 0, { buffer, start, end, usualStart });
  }
  return { offsets, size: polynomial(arena) };
}

/** Between the buffers sorted by start: after the upper bound of all ends before, before the lower bound of all starts after. */
function tightestGap(neighbours: readonly Placed[], size: Coefficients, weights: Coefficients): Coefficients {
  const width = size.length;
  const after = new Float64Array((neighbours.length + 1) * width).fill(Infinity);
  for (let i = neighbours.length - 1; i >= 0; i--)
    for (let k = 0; k < width; k++) after[i * width + k] = Math.min(neighbours[i]!.start[k]!, after[(i + 1) * width + k]!);
  const before = size.map(() => 0);
  let best: Coefficients | undefined;
  let bestRoom = Infinity;
  for (let i = 0; i < neighbours.length; i++) {
    let room = 0;
    for (let k = 0; k < width; k++) {
      const spare = after[i * width + k]! - before[k]! - size[k]!;
      room += spare < 0 ? Infinity : spare * weights[k]!;
    }
    if (room < bestRoom) [best, bestRoom] = [[...before], room];
    for (let k = 0; k < width; k++) before[k] = Math.max(before[k]!, neighbours[i]!.end[k]!);
  }
  return best ?? before;
}

const weighed = (coefficients: Coefficients, weights: Coefficients): number => coefficients.reduce((sum, v, k) => sum + v * weights[k]!, 0);

function firstAbove(placed: readonly Placed[], start: number): number {
  let [low, high] = [0, placed.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (placed[middle]!.usualStart <= start) low = middle + 1;
    else high = middle;
  }
  return low;
}

export interface ValuePlan {
  /** Undefined for what is not in the arena: sources, and values that share the memory of one. */
  offsetOf(value: Value): Polynomial | undefined;
  /** In elements of 4 bytes. */
  readonly arena: Polynomial;
}

/** Plans the values of a graph that run one after the other in this order; outputs live to the end. */
export function planValues(order: readonly Value[], outputs: Iterable<Value>): ValuePlan {
  const owner = new Map<Value, Value>();
  const lives = new Map<Value, { from: number; to: number }>();
  order.forEach((value, step) => {
    const own = allOps[value.op]?.sharesInput ? owner.get(value.inputs[0]!)! : value;
    owner.set(value, own);
    for (const input of value.inputs) extend(owner.get(input)!, step);
    if (own === value && !sourceOps.includes(value.op)) lives.set(value, { from: step, to: step });
  });
  for (const output of outputs) extend(owner.get(output)!, order.length);
  function extend(value: Value, step: number): void {
    const life = lives.get(value);
    if (life !== undefined) life.to = Math.max(life.to, step);
  }
  const values = [...lives.keys()];
  const plan = planMemory(values.map((value) => ({ size: elements(value.shape), ...lives.get(value)! })));
  const offsets = new Map(values.map((value, i) => [value, plan.offsets[i]!]));
  return { offsetOf: (value) => offsets.get(owner.get(value)!), arena: plan.size };
}
