/**
 * Double quantisation (Dettmers et al. 2023, QLoRA, arXiv 2305.14314, section 3): the scales of NF4's blocks, less their mean, as 8-bit codes
 * with one F32 scale for 256 of them: 4.127 bits a number in place of 4.5. The levels are those of bitsandbytes' dynamic map.
 */
import { FrugalError } from "../error.ts";
import { type ByteSource, endsEarly } from "../source.ts";
import { NF4 } from "./nf4.ts";

const scalesTogether = 256;
const codeBytes = NF4.blockBytes - 4;

export interface QuantisedScales {
  readonly codes: Uint8Array;
  /** One for 256 codes. */
  readonly scales: Float32Array;
  readonly offset: number;
}

/** A source that reads as the NF4 blocks with restored scales, and keeps less than they take. Throws FRUGAL_BAD_ARGUMENT for a broken block. */
export function doublyQuantised(name: string, blocks: Uint8Array): ByteSource & { readonly bytesKept: number } {
  const count = blocks.length / NF4.blockBytes;
  if (!Number.isInteger(count))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `NF4: ${blocks.length} bytes are no whole blocks of ${NF4.blockBytes}; pass whole blocks`);
  const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.length);
  const quantised = quantiseScales(Float32Array.from({ length: count }, (_, i) => view.getFloat32(i * NF4.blockBytes, true)));
  const codes = new Uint8Array(count * codeBytes);
  for (let i = 0; i < count; i++) codes.set(blocks.subarray(i * NF4.blockBytes + 4, (i + 1) * NF4.blockBytes), i * codeBytes);
  const { length } = blocks;
  return {
    name,
    byteLength: length,
    bytesKept: codes.length + quantised.codes.length + 4 * quantised.scales.length + 4,
    async read(offset, bytes) {
      if (offset < 0 || bytes < 0 || offset + bytes > length) throw endsEarly(name, offset, bytes, length);
      const first = Math.floor(offset / NF4.blockBytes);
      const last = Math.ceil((offset + bytes) / NF4.blockBytes);
      const scales = restoreScales(quantised, first, last);
      const whole = new Uint8Array((last - first) * NF4.blockBytes);
      const out = new DataView(whole.buffer);
      for (let i = first, at = 0; i < last; i++, at += NF4.blockBytes) {
        out.setFloat32(at, scales[i - first]!, true);
        whole.set(codes.subarray(i * codeBytes, (i + 1) * codeBytes), at + 4);
      }
      return whole.slice(offset - first * NF4.blockBytes, offset - first * NF4.blockBytes + bytes);
    },
    async close() {},
  };
}

export function quantiseScales(scales: Float32Array): QuantisedScales {
  const offset = Math.fround(scales.reduce((sum, scale) => sum + scale, 0) / Math.max(1, scales.length));
  const centred = scales.map((scale) => scale - offset);
  const borders = dynamicLevels().map((level, i, all) => (i === 0 ? -Infinity : Math.fround((all[i - 1]! + level) / 2)));
  const codes = new Uint8Array(scales.length);
  const coarse = new Float32Array(Math.ceil(scales.length / scalesTogether));
  for (let group = 0; group < coarse.length; group++) {
    const members = centred.subarray(group * scalesTogether, (group + 1) * scalesTogether);
    const largest = members.reduce((most, scale) => Math.max(most, Math.abs(scale)), 0);
    coarse[group] = largest;
    const inverse = Math.fround(1 / Math.max(largest, 1e-38));
    members.forEach((scale, i) => (codes[group * scalesTogether + i] = codeOf(borders, Math.fround(scale * inverse))));
  }
  return { codes, scales: coarse, offset };
}

/** The scales of blocks from `first` up to `end`. */
export function restoreScales({ codes, scales, offset }: QuantisedScales, first = 0, end: number = codes.length): Float32Array {
  const levels = dynamicLevels();
  return Float32Array.from({ length: end - first }, (_, i) => {
    const at = first + i;
    return Math.fround(levels[codes[at]!]! * scales[Math.floor(at / scalesTogether)]!) + offset;
  });
}

/** The last code whose border lies below the value. */
function codeOf(borders: Float32Array, value: number): number {
  let code = 0;
  for (let step = 128; step > 0; step >>= 1) if (value > borders[code + step]!) code += step;
  return code;
}

/**
 * 256 levels from -1 to 1, closer near 0 (Dettmers 2015, arXiv 1511.04561, section 3): for each power of ten from 10⁻⁶ to 1 the middles of
 * 1, 2, 4, ... 64 equal parts of 0.1 to 1 of it, with both signs; 0; and 1.
 */
export function dynamicLevels(): Float32Array {
  const levels = [0, 1];
  for (let power = 0; power < 7; power++) {
    const parts = 2 ** power;
    for (let i = 0; i < parts; i++) {
      const level = 10 ** (power - 6) * (0.1 + (0.9 * (i + 0.5)) / parts);
      levels.push(level, -level);
    }
  }
  return Float32Array.from(levels).sort();
}
