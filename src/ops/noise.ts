/**
 * noise — random numbers that depend on seed, stream and place alone, so that asking again gives them again and nothing need be kept.
 * Philox 4x32-10 (Salmon et al. 2011) under the seed as key, with counter [i, 0, stream, 0], gives elements 4i to 4i + 3. "uniform": in
 * [0, 1), 24 bits each. "normal": Box and Muller's pairs √(−2 ln u) (cos 2πv, sin 2πv) of the first and of the last two words, with
 * u = 1 − uniform.
 */
import type { Dims } from "../graph/dim.ts";
import { philox } from "../tensor/random.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";
import { expectDims, known } from "./shapes.ts";

const uniform = (word: number): number => (word >>> 8) / 2 ** 24;

function normals(a: number, b: number): [number, number] {
  const length = Math.sqrt(-2 * Math.log(1 - uniform(a)));
  const angle = 2 * Math.PI * uniform(b);
  return [length * Math.cos(angle), length * Math.sin(angle)];
}

export const noise: Op<1, { readonly shape: Dims; readonly kind: "normal" | "uniform"; readonly stream: number }> = {
  name: "noise",
  arity: 1,
  // Values of one graph that must not be alike ask for streams of their own.
  attributes: { shape: "dims", kind: ["normal", "uniform"], stream: "integer" },
  inputTypes: ["i32"],
  shape([seed], { shape }) {
    expectDims("noise", "seed", seed, [2]);
    return shape;
  },
  gradient: "none",
  cost([seed], { shape }) {
    const y = shape.map(known);
    return costOf(40 * y.reduce((n, dim) => n * dim, 1), seed, y);
  },
  reference([seed], y, { kind, stream }) {
    const key: [number, number] = [seed.data[0]! >>> 0, seed.data[1]! >>> 0];
    for (let i = 0; 4 * i < y.data.length; i++) {
      const words = philox([i, 0, stream >>> 0, 0], key);
      const four = kind === "uniform" ? words.map(uniform) : [...normals(words[0], words[1]), ...normals(words[2], words[3])];
      for (let j = 0; j < 4 && 4 * i + j < y.data.length; j++) y.data[4 * i + j] = four[j]!;
    }
  },
  samples: [
    { shapes: [[2]], attributes: { shape: [3, 7], kind: "normal", stream: 0 }, domains: [{ exactly: [0, 0] }] },
    { shapes: [[2]], attributes: { shape: [129], kind: "normal", stream: 5 }, domains: [{ exactly: [-7, 123456789] }] },
    { shapes: [[2]], attributes: { shape: [5, 13], kind: "uniform", stream: 5 }, domains: [{ exactly: [-7, 123456789] }] },
  ],
};
