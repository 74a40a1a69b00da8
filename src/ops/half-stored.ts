/**
 * storeHalf, loadHalf — rows of f32 as 16-bit floats, two to a word, and back: what a training step keeps from its way forward for its way
 * back, in half the memory. bf16 keeps the exponent of f32, f16 three more bits of the number; both round to nearest even.
 */
import type { Value } from "../graph/value.ts";
import { halfValue } from "../tensor/formats/half.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";
import { expectDim, expectRank, fixed } from "./shapes.ts";

export const halfKinds = ["bf16", "f16"] as const;
export type HalfKind = (typeof halfKinds)[number];

export const storeHalf: Op<1, { readonly kind: HalfKind }> = {
  name: "storeHalf",
  arity: 1,
  attributes: { kind: halfKinds },
  type: "i32",
  shape([x]) {
    expectRank("storeHalf", "x", x, 2);
    return [x[0]!, Math.ceil(fixed("storeHalf", "the channels of x", x[1]!) / 2)];
  },
  gradient: "none",
  cost: ([x]) => costOf(x[0]! * x[1]!, x, [x[0]!, Math.ceil(x[1]! / 2)]),
  reference([x], y, { kind }) {
    const [channels, words] = [x.shape[1]!, y.shape[1]!];
    const bitsOf = { bf16: bfloatBits, f16: halfBits }[kind];
    y.data.fill(0);
    for (let i = 0; i < x.data.length; i++) {
      const [row, column] = [Math.floor(i / channels), i % channels];
      y.data[row * words + (column >> 1)]! |= bitsOf(x.data[i]!) << (16 * (column & 1));
    }
  },
  samples: halfKinds.flatMap((kind) => [
    { shapes: [[3, 8]], attributes: { kind } },
    { shapes: [[5, 33]], attributes: { kind } },
  ]),
};

const words = [0x3f80, 0x3c004000, 0x4100c200, 0, 0x12345678, 7, 0x0400, 1 << 15];

export const loadHalf: Op<1, { readonly kind: HalfKind; readonly channels: number }> = {
  name: "loadHalf",
  arity: 1,
  attributes: { kind: halfKinds, channels: "integer" },
  inputTypes: ["i32"],
  shape([x], { channels }) {
    expectRank("loadHalf", "x", x, 2);
    expectDim("loadHalf", "the words of a row", x[1]!, Math.ceil(channels / 2));
    return [x[0]!, channels];
  },
  gradient: "none",
  cost: ([x], { channels }) => costOf(x[0]! * channels, x, [x[0]!, channels]),
  reference([x], y, { kind, channels }) {
    const words = x.shape[1]!;
    const valueOf = { bf16: bfloatValue, f16: halfValue }[kind];
    for (let i = 0; i < y.data.length; i++) {
      const [row, column] = [Math.floor(i / channels), i % channels];
      y.data[i] = valueOf((x.data[row * words + (column >> 1)]! >>> (16 * (column & 1))) & 0xffff);
    }
  },
  samples: halfKinds.flatMap((kind) => [
    ...[7, 8].map((channels) => ({ shapes: [[2, 4]] as const, attributes: { kind, channels }, domains: [{ exactly: words }] })),
    { shapes: [[1, 3]], attributes: { kind, channels: 5 }, domains: [{ exactly: [0x3c013c00, 0x3fff4321, 0x3800] }] },
  ]),
};

const view = (): { readonly float: Float32Array; readonly bits: Uint32Array } => {
  const float = new Float32Array(1);
  return { float, bits: new Uint32Array(float.buffer) };
};

function bfloatBits(value: number): number {
  const { float, bits } = view();
  float[0] = value;
  if (Number.isNaN(value)) return 0x7fc0;
  return (bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) >>> 16;
}

function bfloatValue(word: number): number {
  const { float, bits } = view();
  bits[0] = (word << 16) >>> 0;
  return float[0]!;
}

/** Too large becomes infinite, as processors have it: the loss scale then falls. */
function halfBits(value: number): number {
  const magnitude = Math.abs(value);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | (magnitude * 2 ** 24 + 2 ** 52 - 2 ** 52);
  const exponent = Math.floor(Math.log2(magnitude));
  const power = 2 ** exponent > magnitude ? exponent - 1 : 2 ** (exponent + 1) <= magnitude ? exponent + 1 : exponent;
  return sign | (((power + 15) << 10) + ((magnitude / 2 ** power - 1) * 1024 + 2 ** 52 - 2 ** 52));
}

/** What is kept of a value of rows: itself where it has no fixed number of channels. */
export const isRows = ({ op, type, shape, inputs }: Value): boolean =>
  inputs.length > 0 &&
  op !== "loadHalf" &&
  type === "f32" &&
  shape.length === 2 &&
  typeof shape[0] !== "number" &&
  typeof shape[1] === "number" &&
  shape[1] > 1;
