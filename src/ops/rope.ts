/**
 * rope — rotates pairs of channels of each head by position · frequency (Su et al. 2021, arXiv 2104.09864).
 * The first 2 · frequencies channels of a head are rotated and multiplied by `magnitude`, the rest pass through.
 * half: channel i goes with i + rotated/2; interleaved: 2i with 2i + 1.
 */
import { printDims } from "../graph/dim.ts";
import type { Value } from "../graph/value.ts";
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { type Builder, type Op, ShapeError } from "./op.ts";
import { divided, expectDims, expectRank, fixed } from "./shapes.ts";

export interface RopeAttributes {
  readonly headSize: number;
  readonly style: "half" | "interleaved";
  readonly magnitude?: number | undefined;
}

export const rope: Op<3, RopeAttributes> = {
  name: "rope",
  arity: 3,
  attributes: { headSize: "integer", style: ["half", "interleaved"], magnitude: "number?" },
  inputTypes: ["f32", "i32", "f32"],
  shape([x, positions, frequencies], { headSize }) {
    expectRank("rope", "x", x, 2);
    expectDims("rope", "positions", positions, [x[0]!]);
    expectRank("rope", "frequencies", frequencies, 1);
    divided("rope", "the channels of x", x[1]!, headSize);
    if (2 * fixed("rope", "the number of frequencies", frequencies[0]!) > headSize)
      throw new ShapeError(`rope: frequencies ${printDims(frequencies)} rotate more channels than a head of ${headSize} has`);
    return x;
  },
  // The reverse of a rotation is the rotation by the opposite angle.
  gradient: ({ b, x: [, positions, frequencies], dy, attributes }) => [
    b.rope(dy, positions, b.scale(frequencies, { by: -1 }), attributes),
    undefined,
    undefined,
  ],
  decompose: ({ b, x: [x, positions, frequencies], attributes }) => decomposed(b, x, positions, frequencies, attributes),
  cost: ([x, positions, frequencies]) => costOf(3 * size(x) + 24 * positions[0]! * frequencies[0]!, x, positions, frequencies, x),
  reference([x, positions, frequencies], y, { headSize, style, magnitude = 1 }) {
    const channels = x.shape[1]!;
    const pairs = frequencies.data.length;
    const [step, apart] = style === "half" ? [1, pairs] : [2, 1];
    y.data.set(x.data);
    for (let t = 0; t < positions.data.length; t++)
      for (let i = 0; i < pairs; i++) {
        const angle = Math.fround(positions.data[t]! * frequencies.data[i]!);
        const [cos, sin] = [Math.cos(angle) * magnitude, Math.sin(angle) * magnitude];
        for (let head = 0; head < channels; head += headSize) {
          const first = t * channels + head + i * step;
          const [u, v] = [x.data[first]!, x.data[first + apart]!];
          y.data[first] = u * cos - v * sin;
          y.data[first + apart] = v * cos + u * sin;
        }
      }
  },
  samples: [
    { shapes: [[3, 8], [3], [4]], attributes: { headSize: 8, style: "half" }, domains: ["normal", { exactly: [0, 1, 7] }, "positive"] },
    {
      shapes: [[3, 8], [3], [4]],
      attributes: { headSize: 8, style: "interleaved" },
      domains: ["normal", { exactly: [0, 1, 7] }, "positive"],
    },
    {
      shapes: [[5, 30], [5], [3]],
      attributes: { headSize: 10, style: "half", magnitude: 1.25 },
      domains: ["normal", { exactly: [0, 1, 2, 0, 1] }, "positive"],
    },
    {
      shapes: [[5, 30], [5], [3]],
      attributes: { headSize: 10, style: "interleaved", magnitude: 0.5 },
      domains: ["normal", { below: 100 }, "positive"],
    },
    {
      shapes: [[1, 64], [1], [16]],
      attributes: { headSize: 32, style: "half", magnitude: 1 },
      domains: ["normal", { exactly: [31] }, "positive"],
    },
  ],
};

function decomposed(b: Builder, x: Value, positions: Value, frequencies: Value, { headSize, style, magnitude = 1 }: RopeAttributes): Value {
  const rows = x.shape[0]!;
  const heads = divided("rope", "channels", x.shape[1]!, headSize);
  const pairs = fixed("rope", "frequencies", frequencies.shape[0]!);
  const times = b.broadcast(b.reshape(b.toFloat(positions), { shape: [rows, 1] }), { shape: [rows, pairs] });
  const angles = b.reshape(b.mul(times, frequencies), { shape: style === "half" ? [rows, 1, pairs] : [rows, 1, pairs, 1] });
  const [cos, sin] = [b.scale(b.cos(angles), { by: magnitude }), b.scale(b.sin(angles), { by: magnitude })];

  const whole = b.reshape(x, { shape: [rows, heads, headSize] });
  const rotated = b.slice(whole, { axis: 2, start: 0, length: 2 * pairs });
  const paired = style === "half" ? rotated : b.reshape(rotated, { shape: [rows, heads, pairs, 2] });
  const axis = style === "half" ? 2 : 3;
  const part = style === "half" ? pairs : 1;
  const [u, v] = [b.slice(paired, { axis, start: 0, length: part }), b.slice(paired, { axis, start: part, length: part })];
  const turned = b.concat([b.sub(b.mul(u, cos), b.mul(v, sin)), b.add(b.mul(v, cos), b.mul(u, sin))], { axis });
  const flat = b.reshape(turned, { shape: [rows, heads, 2 * pairs] });
  const rest = headSize - 2 * pairs;
  const all = rest === 0 ? flat : b.concat([flat, b.slice(whole, { axis: 2, start: 2 * pairs, length: rest })], { axis: 2 });
  return b.reshape(all, { shape: x.shape });
}
