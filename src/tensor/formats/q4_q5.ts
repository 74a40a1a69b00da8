/** Q4_0, Q4_1, Q5_0, Q5_1: 32 values of 4 or 5 bits with a scale, around zero (_0) or up from a minimum (_1). Same bytes as ggml's. */
import type { StorageFormat } from "../format.ts";
import { type BlockLayout, blockFormat } from "./blocks.ts";
import { inverseScale, readHalf, writeHalf } from "./half.ts";

/**
 * In order: scale, minimum (_1), the 32 fifth bits (Q5), then the low four bits: of values 0 to 15 in the low nibbles, of 16 to 31 in the high ones.
 */
function layout(name: string, ggufType: number, bits: 4 | 5, hasMinimum: boolean): BlockLayout {
  const fifthBits = hasMinimum ? 4 : 2;
  const nibbles = fifthBits + (bits === 5 ? 4 : 0);
  const largestCode = 2 ** bits - 1;
  const zeroCode = hasMinimum ? 0 : 2 ** (bits - 1);

  function readBlock(bytes: Uint8Array, at: number, values: Float32Array, first: number): void {
    const scale = readHalf(bytes, at);
    const minimum = hasMinimum ? readHalf(bytes, at + 2) : -0; // adding -0 keeps the sign of a zero
    const high = bits === 5 ? readWord(bytes, at + fifthBits) : 0;
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + nibbles + i]!;
      values[first + i] = scale * (((byte & 15) | (((high >>> i) & 1) << 4)) - zeroCode) + minimum;
      values[first + 16 + i] = scale * (((byte >> 4) | (((high >>> (i + 16)) & 1) << 4)) - zeroCode) + minimum;
    }
  }

  function writeBlock(values: Float32Array, first: number, bytes: Uint8Array, at: number): void {
    let minimum = values[first]!;
    let maximum = minimum;
    for (let i = first + 1; i < first + 32; i++) {
      const value = values[i]!;
      if (value < minimum) minimum = value;
      if (value > maximum) maximum = value;
    }
    let scale: number;
    if (hasMinimum) {
      scale = Math.fround(Math.fround(maximum - minimum) / largestCode);
      writeHalf(bytes, at + 2, minimum);
    } else {
      scale = Math.fround(largestMagnitude(values, first, minimum, maximum) / -zeroCode);
      minimum = 0;
    }
    writeHalf(bytes, at, scale);
    const inverse = inverseScale(scale);
    let high = 0;
    for (let i = 0; i < 16; i++) {
      const low = code(values[first + i]!, minimum, inverse);
      const up = code(values[first + 16 + i]!, minimum, inverse);
      bytes[at + nibbles + i] = (low & 15) | (up << 4);
      high |= ((low >> 4) << i) | ((up >> 4) << (i + 16));
    }
    if (bits === 5) writeWord(bytes, at + fifthBits, high);
  }

  function code(value: number, minimum: number, inverse: number): number {
    const scaled = Math.fround(Math.fround(Math.fround(value - minimum) * inverse) + (zeroCode + 0.5));
    return scaled > largestCode ? largestCode : scaled | 0;
  }

  return { name, ggufType, blockSize: 32, blockBytes: nibbles + 16, readBlock, writer: () => writeBlock };
}

/** The value of largest magnitude with its sign; where both ends are as far, the one that comes first. */
function largestMagnitude(values: Float32Array, first: number, minimum: number, maximum: number): number {
  if (minimum !== -maximum) return -minimum > maximum ? minimum : maximum;
  let i = first;
  while (Math.abs(values[i]!) !== maximum) i++;
  return values[i]!;
}

const readWord = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);

function writeWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word;
  bytes[at + 1] = word >> 8;
  bytes[at + 2] = word >> 16;
  bytes[at + 3] = word >> 24;
}

export const Q4_0: StorageFormat = blockFormat(layout("Q4_0", 2, 4, false));
export const Q4_1: StorageFormat = blockFormat(layout("Q4_1", 3, 4, true));
export const Q5_0: StorageFormat = blockFormat(layout("Q5_0", 6, 5, false));
export const Q5_1: StorageFormat = blockFormat(layout("Q5_1", 7, 5, true));
