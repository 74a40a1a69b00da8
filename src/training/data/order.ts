/** The order of examples in an epoch: a function of seed and epoch alone, so that a training can go on anywhere. */
import { philox } from "../../tensor/random.ts";

export type Order = "file" | "shuffled";

/** A permutation of 0 to count - 1; every one is equally likely over the seeds. */
export function epochOrder(count: number, order: Order, seed: number, epoch: number): Int32Array {
  const places = Int32Array.from({ length: count }, (_, i) => i);
  if (order === "file") return places;
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0] as const;
  for (let i = count - 1; i > 0; i--) {
    const [a, b] = philox([i, epoch, 0, 0], key);
    const other = Math.floor((((a >>> 5) * 0x4000000 + (b >>> 6)) / 2 ** 53) * (i + 1));
    [places[i], places[other]] = [places[other]!, places[i]!];
  }
  return places;
}
