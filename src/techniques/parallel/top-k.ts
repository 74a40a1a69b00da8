/**
 * Deep Gradient Compression (Lin, Han, Mao, Wang, Dally 2018, arXiv 1712.01887): each rank sends the largest numbers of what it owes, and keeps
 * the rest for later steps.
 *
 * u ← m u + g, v ← v + u; the k numbers of v with the largest magnitudes are sent with their places, and u and v become zero there
 * (momentum correction and factor masking; m = 0 leaves the optimizer alone). Sent: 8 k (P − 1) bytes a rank.
 * With m > 0 the optimizer must have no momentum of its own.
 */
import { checkOptions } from "../../tensor/options.ts";
import { FrugalError } from "../../tensor/error.ts";
import { evenOffsets } from "../../training/collective.ts";
import type { GradientCompression } from "../../training/parallel/compression.ts";
import { unsent } from "./unsent.ts";

export interface TopKOptions {
  /** The part of the numbers that is sent, above 0, at most 1; 0.01 where absent. At least one number of each parameter is sent. */
  readonly density?: number | undefined;
  /** m; 0 where absent. */
  readonly momentum?: number | undefined;
  /** Whether what was not sent is kept; true where absent. */
  readonly feedback?: boolean | undefined;
}

export function topK(options: TopKOptions = {}): GradientCompression {
  const { density = 0.01, momentum = 0, feedback = true } = options;
  checkOptions("top-k", options, ["density", "momentum", "feedback"]);
  if (!(density > 0 && density <= 1))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `top-k: density must be above 0 and at most 1, got ${density}`, { density });
  if (!(momentum >= 0 && momentum < 1))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `top-k: momentum must be 0 or more and below 1, got ${momentum}`, { momentum });
  return {
    name: "top-k",
    paper: {
      title: "Deep Gradient Compression: Reducing the Communication Bandwidth for Distributed Training",
      authors: "Yujun Lin, Song Han, Huizi Mao, Yu Wang, William J. Dally",
      year: 2018,
      url: "https://arxiv.org/abs/1712.01887",
    },
    survey: "5.1 distributed training",
    changes: "schedule",
    start(collective) {
      const [owed, velocities] = [unsent(feedback), unsent(feedback)];
      return {
        async sum(name, _, gradient) {
          const length = gradient.length;
          const [v, u] = [owed.of(name, length), velocities.of(name, length)];
          for (let i = 0; i < length; i++) {
            u[i] = momentum * u[i]! + gradient[i]!;
            v[i]! += u[i]!;
          }
          const count = Math.max(1, Math.round(density * length));
          const places = largest(v, count);
          const [allPlaces, allValues] = [new Int32Array(count * collective.size), new Float32Array(count * collective.size)];
          allPlaces.set(places, count * collective.rank);
          allValues.set(
            Float32Array.from(places, (at) => v[at]!),
            count * collective.rank,
          );
          for (const at of places) [u[at], v[at]] = [0, 0];
          const offsets = evenOffsets(allPlaces.length, collective.size);
          await collective.allGather(allPlaces, offsets);
          await collective.allGather(allValues, offsets);
          gradient.fill(0);
          // In the order of ranks, so that all have the same sums.
          allPlaces.forEach((at, i) => (gradient[at]! += allValues[i]!));
        },
      };
    },
  };
}

/** Places of the `count` numbers with the largest magnitudes, rising; of equals the first. */
function largest(numbers: Float32Array, count: number): Int32Array {
  const threshold = numbers.map(Math.abs).sort()[numbers.length - count]!;
  const places: number[] = [];
  numbers.forEach((v, at) => void (Math.abs(v) > threshold && places.push(at)));
  for (let at = 0; places.length < count; at++) if (Math.abs(numbers[at]!) === threshold) places.push(at);
  return Int32Array.from(places.sort((a, b) => a - b));
}
