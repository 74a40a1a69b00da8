/**
 * Blockwise dynamic quantisation to 8 bits (Dettmers et al. 2022, arXiv 2110.02861, section 2): 256 numbers share the largest magnitude
 * among them, and each has the code of the nearest of 256 levels, whose steps grow tenfold with the magnitude.
 * A block is kept as 66 numbers of f32: the largest magnitude, a key, and 64 words of four codes each. Weights are f32, and numbers that
 * are no number or infinite do not survive every copy, so the words are made normal floats: a word is turned by one bit, which makes its
 * exponent the fourth code, and that code is combined (exclusive or) with the key, which is chosen so that it never becomes 0 or 255.
 * Cost: 8.25 bits a number. Rejected: three codes as a whole number below 2^24, 10.7 bits.
 */
import type { Dims } from "../graph/dim.ts";
import { fixed } from "./shapes.ts";

export const blockSize = 256;
const codesPerWord = 4;
/** Numbers of f32 that keep a block. */
export const storedPerBlock: number = 2 + blockSize / codesPerWord;

/** How many blocks hold the numbers of a value of this shape. */
export const blocksOf = (op: string, shape: Dims): number =>
  Math.ceil(shape.reduce<number>((n, dim) => n * fixed(op, "each size", dim), 1) / blockSize);

/** The 256 levels, rising: 2^i (with a sign) or 2^(i+1) (without) of them between 0.1 and 1 times 10^(i−6), each the middle of its step; 0; 1. */
export function dynamicLevels(signed: boolean): Float32Array {
  const levels = [0, 1];
  for (let exponent = 0; exponent < 7; exponent++) {
    const steps = 2 ** (signed ? exponent : exponent + 1);
    for (let i = 0; i < steps; i++) {
      const level = 10 ** (exponent - 6) * (0.1 + (0.9 * (i + 0.5)) / steps);
      levels.push(level);
      if (signed) levels.push(-level);
    }
  }
  return Float32Array.from(levels).sort();
}

/** Between each level and the next; what lies above belongs to the next. */
export const midpoints = (levels: Float32Array): Float32Array => levels.subarray(1).map((level, i) => (level + levels[i]!) / 2);

/** How many midpoints lie below the number: the code of the nearest level. */
export function codeOf(middle: Float32Array, x: number): number {
  let code = 0;
  for (let step = 128; step >= 1; step /= 2) if (x > middle[code + step - 1]!) code += step;
  return code;
}

/** The least key that makes no fourth code 0 or 255. At most 128 of the 256 are taken. */
export function keyOf(codes: Uint8Array): number {
  const taken = new Set<number>();
  for (let i = codesPerWord - 1; i < codes.length; i += codesPerWord) taken.add(codes[i]!).add(codes[i]! ^ 255);
  let key = 0;
  while (taken.has(key)) key++;
  return key;
}

/** Codes from `first` on as a word: the first in its lowest byte, then turned to the right by one bit. */
export function wordOf(codes: Uint8Array, first: number, key: number): number {
  const word = codes[first]! | (codes[first + 1]! << 8) | (codes[first + 2]! << 16) | ((codes[first + 3]! ^ key) << 24);
  return ((word >>> 1) | (word << 31)) >>> 0;
}

/** Code 0 to 3 of a word. */
export function codeIn(word: number, place: number, key: number): number {
  const turned = (word << 1) | (word >>> 31);
  const code = (turned >>> (8 * place)) & 255;
  return place === codesPerWord - 1 ? code ^ (key & 255) : code;
}
