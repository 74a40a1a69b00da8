/**
 * TQ1_0 and TQ2_0: 256 values that are -1, 0 or 1 times one scale, as in BitNet b1.58 and TriLM.
 *
 * TQ1_0 reads a byte as a fraction of 256 in base 3: times 3, the whole part is the first of its five digits, the rest goes on.
 */
import type { StorageFormat } from "../format.ts";
import { type BlockLayout, blockFormat } from "./blocks.ts";
import { inverseScale, readHalf, writeHalf } from "./half.ts";

/** Runs of bytes in a TQ1_0 block: `count` bytes from `at` hold `digits` values each; a byte's values lie `count` apart. */
const runs = [
  { at: 0, count: 32, digits: 5, first: 0 },
  { at: 32, count: 16, digits: 5, first: 160 },
  { at: 48, count: 4, digits: 4, first: 240 },
] as const;

const tq1: BlockLayout = {
  name: "TQ1_0",
  ggufType: 34,
  blockSize: 256,
  blockBytes: 54,
  readBlock(bytes, at, values, first) {
    const scale = readHalf(bytes, at + 52);
    for (const run of runs) {
      for (let i = 0; i < run.count; i++) {
        let fraction = bytes[at + run.at + i]!;
        for (let digit = 0; digit < run.digits; digit++) {
          fraction *= 3;
          values[first + run.first + digit * run.count + i] = scale * ((fraction >> 8) - 1);
          fraction &= 255;
        }
      }
    }
  },
  writer: () => (values, first, bytes, at) => {
    const scale = largest(values, first);
    const inverse = inverseScale(scale);
    for (const run of runs) {
      for (let i = 0; i < run.count; i++) {
        let number = 0;
        for (let digit = 0; digit < 5; digit++) {
          number *= 3;
          if (digit < run.digits) number += trit(values[first + run.first + digit * run.count + i]!, inverse);
        }
        bytes[at + run.at + i] = Math.ceil((number * 256) / 243);
      }
    }
    writeHalf(bytes, at + 52, scale);
  },
};

/** Two bits a value: each run of 128 values lies in 32 bytes, values 32 apart sharing a byte, lowest bits first. */
const tq2: BlockLayout = {
  name: "TQ2_0",
  ggufType: 35,
  blockSize: 256,
  blockBytes: 66,
  readBlock(bytes, at, values, first) {
    const scale = readHalf(bytes, at + 64);
    for (let i = 0; i < 256; i++) {
      const byte = bytes[at + ((i >> 7) << 5) + (i & 31)]!;
      values[first + i] = scale * (((byte >> ((i >> 4) & 6)) & 3) - 1);
    }
  },
  writer: () => (values, first, bytes, at) => {
    const scale = largest(values, first);
    const inverse = inverseScale(scale);
    for (let i = 0; i < 64; i++) {
      let byte = 0;
      const start = first + ((i >> 5) << 7) + (i & 31);
      for (let j = 0; j < 4; j++) byte |= trit(values[start + 32 * j]!, inverse) << (2 * j);
      bytes[at + i] = byte;
    }
    writeHalf(bytes, at + 64, scale);
  },
};

function largest(values: Float32Array, first: number): number {
  let magnitude = 0;
  for (let i = first; i < first + 256; i++) magnitude = Math.max(magnitude, Math.abs(values[i]!));
  return magnitude;
}

/** 0, 1 or 2 for the nearest of -1, 0 and 1; halves round away from zero. */
function trit(value: number, inverse: number): number {
  const scaled = Math.fround(value * inverse);
  return scaled >= 0.5 ? 2 : scaled <= -0.5 ? 0 : 1;
}

export const TQ1_0: StorageFormat = blockFormat(tq1);
export const TQ2_0: StorageFormat = blockFormat(tq2);
