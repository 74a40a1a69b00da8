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
  gradient: ({ b, x: [x, positions, frequencies], y, dy, attributes }) => [
    // The reverse of a rotation is the rotation by the opposite angle.
    b.rope(dy, positions, b.scale(frequencies, { by: -1 }), attributes),
    undefined,
    gradientOfFrequencies(b, x, positions, frequencies, y, dy, attributes),
  ],
  decompose: ({ b, x: [x, positions, frequencies], attributes }) => decomposed(b, x, positions, frequencies, attributes),
  cost: ([x, positions, frequencies]) => costOf(3 * size(x) + 24 * positions[0]! * frequencies[0]!, x, positions, frequencies, x),
  reference([x, positions, frequencies], y, { headSize, style, magnitude = 1 }) {
    const channels = x.shape[1]!;
    const pairs = frequencies.data.length;
    const [step, apart] = style === "half" ? [1, pairs] : [2, 1];
    const single = y.data instanceof Float32Array;
    y.data.set(x.data);
    for (let t = 0; t < positions.data.length; t++)
      for (let i = 0; i < pairs; i++) {
        const product = positions.data[t]! * frequencies.data[i]!;
        const angle = single ? Math.fround(product) : product;
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
    { shapes: [[3, 8], [3], [2]], attributes: { headSize: 4, style: "half" }, domains: ["normal", { exactly: [5, 3, 7] }, "positive"] },
  ],
};

function decomposed(b: Builder, x: Value, positions: Value, frequencies: Value, attributes: RopeAttributes): Value {
  const { headSize, style, magnitude = 1 } = attributes;
  const rows = x.shape[0]!;
  const pairs = fixed("rope", "frequencies", frequencies.shape[0]!);
  const times = b.broadcast(b.reshape(b.toFloat(positions), { shape: [rows, 1] }), { shape: [rows, pairs] });
  const angles = b.reshape(b.mul(times, frequencies), { shape: style === "half" ? [rows, 1, pairs] : [rows, 1, pairs, 1] });
  const [cos, sin] = [b.scale(b.cos(angles), { by: magnitude }), b.scale(b.sin(angles), { by: magnitude })];

  const [u, v, rest] = split(b, x, pairs, attributes);
  const turned = b.concat([b.sub(b.mul(u, cos), b.mul(v, sin)), b.add(b.mul(v, cos), b.mul(u, sin))], { axis: style === "half" ? 2 : 3 });
  const flat = b.reshape(turned, { shape: [rows, (x.shape[1]! as number) / headSize, 2 * pairs] });
  return b.reshape(rest === undefined ? flat : b.concat([flat, rest], { axis: 2 }), { shape: x.shape });
}

/** First and second channels of the pairs, [T, heads, pairs] or [T, heads, pairs, 1]; and the channels that are not rotated. */
function split(b: Builder, x: Value, pairs: number, { headSize, style }: RopeAttributes): readonly [Value, Value, Value | undefined] {
  const [rows, heads] = [x.shape[0]!, divided("rope", "channels", x.shape[1]!, headSize)];
  const whole = b.reshape(x, { shape: [rows, heads, headSize] });
  const rotated = b.slice(whole, { axis: 2, start: 0, length: 2 * pairs });
  const rest = headSize === 2 * pairs ? undefined : b.slice(whole, { axis: 2, start: 2 * pairs, length: headSize - 2 * pairs });
  if (style === "half")
    return [b.slice(rotated, { axis: 2, start: 0, length: pairs }), b.slice(rotated, { axis: 2, start: pairs, length: pairs }), rest];
  const paired = b.reshape(rotated, { shape: [rows, heads, pairs, 2] });
  return [b.slice(paired, { axis: 3, start: 0, length: 1 }), b.slice(paired, { axis: 3, start: 1, length: 1 }), rest];
}

/** Turning a little more moves (u, v) along (−v, u): the sum over rows and heads of position · (dv · u − du · v). */
function gradientOfFrequencies(
  b: Builder,
  x: Value,
  positions: Value,
  frequencies: Value,
  y: Value,
  dy: Value,
  attributes: RopeAttributes,
): Value {
  const rows = x.shape[0]!;
  const pairs = fixed("rope", "frequencies", frequencies.shape[0]!);
  const [u, v] = split(b, y, pairs, attributes);
  const [du, dv] = split(b, dy, pairs, attributes);
  const byHead = b.sub(b.mul(dv, u), b.mul(du, v));
  const turns = b.reshape(b.sum(byHead, { axis: 1 }), { shape: [rows, pairs] });
  const weighted = b.mul(turns, b.reshape(b.toFloat(positions), { shape: [rows, 1] }));
  return b.reshape(b.sum(weighted, { axis: 0 }), { shape: frequencies.shape });
}
