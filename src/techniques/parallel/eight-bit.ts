/**
 * 8-bit approximations for parallelism (Dettmers 2016, arXiv 1511.04561), in blocks and with error feedback: gradients travel as one byte a
 * number beside the largest magnitude of each block.
 *
 * q = round(127 v / max |v|) of each block of v = g + what is owed; owed ← v − q max |v| / 127. The owner of a part adds what it decodes from
 * all ranks and sends the sum in the same way, with an account of its own. Sent: 2 (P − 1) / P of 1 + 4 / block bytes a number.
 */
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";
import { evenOffsets } from "../../training/collective.ts";
import type { GradientCompression } from "../../training/parallel/compression.ts";
import { unsent } from "./unsent.ts";

export interface EightBitOptions {
  /** Numbers that share a magnitude; 256 where absent. */
  readonly block?: number | undefined;
  /** Whether what rounding took is kept; true where absent. */
  readonly feedback?: boolean | undefined;
}

export function eightBit(options: EightBitOptions = {}): GradientCompression {
  const { block = 256, feedback = true } = options;
  checkOptions("8-bit gradients", options, ["block", "feedback"]);
  if (!Number.isSafeInteger(block) || block < 1)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `8-bit gradients: block must be a whole number from 1, got ${block}`, { block });
  return {
    name: "eight-bit",
    paper: {
      title: "8-Bit Approximations for Parallelism in Deep Learning",
      authors: "Tim Dettmers",
      year: 2016,
      url: "https://arxiv.org/abs/1511.04561",
    },
    survey: "5.1 distributed training",
    changes: "schedule",
    start(collective) {
      const { rank, size } = collective;
      const [owed, owedOfSums] = [unsent(feedback), unsent(feedback)];
      return {
        async sum(name, _, gradient) {
          // Parts are whole blocks.
          const blocks = Math.ceil(gradient.length / block);
          const places = evenOffsets(blocks, size).map((at) => Math.min(gradient.length, at * block));
          const coded = encode(gradient, owed.of(name, gradient.length), block);
          const codesOf = (peer: number): Int8Array => coded.codes.subarray(places[peer], places[peer + 1]);
          const scalesOf = (peer: number): Float32Array =>
            coded.scales.subarray(Math.ceil(places[peer]! / block), Math.ceil(places[peer + 1]! / block));
          const own = new Float32Array(codesOf(rank).length);
          const others = Array.from({ length: size }, (__, peer) => peer).filter((peer) => peer !== rank);
          const arrived = new Map(
            others.map((peer) => [peer, { codes: new Int8Array(own.length), scales: new Float32Array(scalesOf(rank).length) }]),
          );
          await Promise.all([
            ...others.flatMap((peer) => [collective.send(bytesOf(codesOf(peer)), peer), collective.send(scalesOf(peer), peer)]),
            ...[...arrived].flatMap(([peer, { codes, scales }]) => [
              collective.receive(bytesOf(codes), peer),
              collective.receive(scales, peer),
            ]),
          ]);
          for (let peer = 0; peer < size; peer++) {
            const { codes, scales } = arrived.get(peer) ?? { codes: codesOf(rank), scales: scalesOf(rank) };
            decode(codes, scales, block, (at, v) => (own[at]! += v));
          }
          const sums = encode(own, owedOfSums.of(name, own.length), block);
          codesOf(rank).set(sums.codes);
          scalesOf(rank).set(sums.scales);
          await collective.allGather(bytesOf(coded.codes), places);
          await collective.allGather(
            coded.scales,
            places.map((at) => Math.ceil(at / block)),
          );
          decode(coded.codes, coded.scales, block, (at, v) => (gradient[at] = v));
        },
      };
    },
  };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Int8Array): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength);

/** Codes of numbers + owed, and what they do not say into `owed`. */
function encode(numbers: Float32Array, owed: Float32Array, block: number): { readonly codes: Int8Array; readonly scales: Float32Array } {
  const codes = new Int8Array(numbers.length);
  const scales = new Float32Array(Math.ceil(numbers.length / block));
  for (let b = 0; b < scales.length; b++) {
    const end = Math.min(numbers.length, (b + 1) * block);
    let largest = 0;
    for (let i = b * block; i < end; i++) {
      owed[i]! += numbers[i]!;
      largest = Math.max(largest, Math.abs(owed[i]!));
    }
    scales[b] = largest / 127;
    const scale = scales[b]!;
    for (let i = b * block; i < end && scale > 0; i++) {
      codes[i] = Math.round(owed[i]! / scale);
      owed[i]! -= codes[i]! * scale;
    }
  }
  return { codes, scales };
}

function decode(codes: Int8Array, scales: Float32Array, block: number, take: (at: number, value: number) => void): void {
  codes.forEach((code, at) => take(at, code * scales[Math.floor(at / block)]!));
}
