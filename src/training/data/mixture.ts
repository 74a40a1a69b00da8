/**
 * Several sources of examples as one stream: which source the next example comes from is a function of seed and place alone. With a
 * temperature, small sources are seen more often than their size says: weight = size^(1 / temperature) (Devlin et al. 2019 for the languages
 * of multilingual BERT; Raffel et al., "Exploring the Limits of Transfer Learning", 2020, https://arxiv.org/abs/1910.10683, section 3.5.2).
 */
import { FrugalError } from "../../tensor/error.ts";
import { wholeNumber } from "../../tensor/options.ts";
import { philox } from "../../tensor/random.ts";
import { epochOrder } from "./order.ts";

/** Shares that sum to 1, from sizes: temperature 1 gives the sizes' own, a large one equal shares. Throws FRUGAL_BAD_ARGUMENT. */
export function mixingShares(sizes: readonly number[], temperature = 1): number[] {
  const wrong = sizes.find((size) => !(size > 0 && size < Infinity));
  if (sizes.length === 0 || wrong !== undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `mixture: a source has the size or weight ${wrong}; give numbers above 0`);
  if (!(temperature > 0)) throw new FrugalError("FRUGAL_BAD_ARGUMENT", `mixture: temperature is ${temperature}; give a number above 0`);
  // Against the largest, so that no power overflows.
  const largest = Math.max(...sizes);
  const weights = sizes.map((size) => (size / largest) ** (1 / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

export interface Draw {
  readonly source: number;
  /** Of the source's examples. Each is drawn once before any is drawn again. */
  readonly index: number;
}

/**
 * `count` draws from sources of these sizes. Deviations from the shares stay those of independent draws; within a source the order is
 * shuffled anew for every pass.
 */
export function drawMixture(sizes: readonly number[], shares: readonly number[], count: number, seed: number): Draw[] {
  wholeNumber("mixture", "count", count, 0);
  wholeNumber("mixture", "seed", seed, 0);
  if (shares.length !== sizes.length)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `mixture: ${sizes.length} sources have ${shares.length} weights; give one each`);
  const of = mixingShares(shares);
  const empty = sizes.findIndex((size) => !(Number.isInteger(size) && size > 0));
  if (empty >= 0) throw new FrugalError("FRUGAL_BAD_ARGUMENT", `mixture: source ${empty} has ${sizes[empty]} examples; leave it out`);
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0] as const;
  const taken = sizes.map(() => 0);
  const orders: { pass: number; order: Int32Array }[] = sizes.map(() => ({ pass: -1, order: new Int32Array() }));
  return Array.from({ length: count }, (_, place) => {
    // The last word of the counter keeps these numbers apart from those that shuffle.
    const [a, b] = philox([place >>> 0, Math.floor(place / 2 ** 32), 0, 1], key);
    let left = ((a >>> 5) * 0x4000000 + (b >>> 6)) / 2 ** 53;
    let source = 0;
    while (source < of.length - 1 && left >= of[source]!) left -= of[source++]!;
    const pass = Math.floor(taken[source]! / sizes[source]!);
    if (orders[source]!.pass !== pass) orders[source] = { pass, order: epochOrder(sizes[source]!, "shuffled", seed + source, pass) };
    return { source, index: orders[source]!.order[taken[source]!++ % sizes[source]!]! };
  });
}
