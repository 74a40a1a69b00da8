/** IEEE half precision, the scale of nearly every block format. Plain arithmetic: exact, and no views to reinterpret bits through. */
import { FrugalError } from "../error.ts";

/** What one step of the mantissa is worth, by sign and exponent: the upper six bits of a half. */
const steps = Float64Array.from({ length: 64 }, (_, i) => (i < 32 ? 1 : -1) * 2 ** (Math.max(i & 31, 1) - 25));

/** The number that 16 bits stand for. */
export function halfValue(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa !== 0 ? NaN : bits >> 15 ? -Infinity : Infinity;
  return (exponent === 0 ? mantissa : mantissa + 1024) * steps[bits >> 10]!;
}

/** Adding and taking away 2^52 rounds a non-negative double to the nearest integer, ties to even. */
const integers = 2 ** 52;

/** What turns a magnitude between 2^(i-14) and 2^(i-13) into a mantissa between 1024 and 2048. */
const mantissas = Float64Array.from({ length: 30 }, (_, i) => 2 ** (24 - i));

/** The nearest half's bits, ties to even. Throws FRUGAL_NUMERIC where the number is past 65504 and would become infinite. */
export function halfBits(value: number): number {
  const magnitude = Math.abs(value);
  if (!(magnitude < 65520)) throw pastHalf(value);
  const sign = value < 0 || (value === 0 && 1 / value < 0) ? 0x8000 : 0;
  if (magnitude < 2 ** -14) return sign | (magnitude * 2 ** 24 + integers - integers);
  const exponent = 31 - Math.clz32(magnitude * 2 ** 14);
  return sign | ((exponent << 10) + (magnitude * mantissas[exponent]! + integers - integers));
}

const pastHalf = (value: number): FrugalError =>
  new FrugalError("FRUGAL_NUMERIC", `half precision: ${value} does not fit, the largest is 65504; store these values as F32 or BF16`, {
    value,
  });

/** The half at `at`, which may be odd. */
export const readHalf = (bytes: Uint8Array, at: number): number => halfValue(bytes[at]! | (bytes[at + 1]! << 8));

/** Writes the nearest half at `at` and returns its value, which is what a reader will see. */
export function writeHalf(bytes: Uint8Array, at: number, value: number): number {
  const bits = halfBits(value);
  bytes[at] = bits;
  bytes[at + 1] = bits >> 8;
  return halfValue(bits);
}

/** 1 / scale in float32; 0 for a scale too small to have an inverse, whose half is zero anyway. */
export function inverseScale(scale: number): number {
  const inverse = Math.fround(1 / scale);
  return Number.isFinite(inverse) ? inverse : 0;
}

/** The nearest half's value, but never zero for a number that is not: under integer scales the smallest half still serves. */
export function nearestScale(scale: number): number {
  const half = halfValue(halfBits(scale));
  return half !== 0 || scale === 0 ? half : Math.sign(scale) * 2 ** -24;
}
