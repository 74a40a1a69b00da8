// Every format against the blocks of gguf-py, ggml and bitsandbytes (testing/oracles/formats.py and formats_nf4.py write them).
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { StorageFormat } from "../format.ts";
import { formatByName } from "./index.ts";

interface Fixture {
  readonly format: string;
  readonly gguf_type?: number;
  readonly block_size: number;
  readonly block_bytes: number;
  readonly decode: { readonly bytes: string; readonly values: string };
  readonly encode: { readonly by: "gguf-py" | "ggml" | "bitsandbytes"; readonly values?: string; readonly bytes: string };
}

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../testing/fixtures/formats/${name}.json`, import.meta.url), "utf8"));
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));
const floatsOf = (text: string): Float32Array => new Float32Array(bytesOf(text).buffer);
const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);
const common = floatsOf((read("values") as { values: string }).values);

const floats = ["F16", "BF16"];
const exact = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "TQ1_0", "TQ2_0", "NF4"];
const searched = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"];

function encode(format: StorageFormat, values: Float32Array): Uint8Array {
  const bytes = new Uint8Array((values.length / format.blockSize) * format.blockBytes);
  format.encode!(values, bytes);
  return bytes;
}

function decode(format: StorageFormat, bytes: Uint8Array): Float32Array {
  const values = new Float32Array((bytes.length / format.blockBytes) * format.blockSize);
  format.decode(bytes, values);
  return values;
}

/** Root mean squares of the errors of each 256 values, over their root mean square. */
function relativeErrors(values: Float32Array, stored: Float32Array): number[] {
  return Array.from({ length: values.length / 256 }, (_, row) => {
    let [error, square] = [0, 0];
    for (let i = 256 * row; i < 256 * (row + 1); i++) {
      error += (values[i]! - stored[i]!) ** 2;
      square += values[i]! ** 2;
    }
    return square === 0 ? Math.sqrt(error) : Math.sqrt(error / square);
  });
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

describe.each([...floats, ...exact, ...searched])("%s", (name) => {
  const fixture = read(name) as Fixture;
  const format = formatByName(name);

  test("has the sizes and the number of GGUF", () => {
    expect([format.ggufType, format.blockSize, format.blockBytes]).toEqual([fixture.gguf_type, fixture.block_size, fixture.block_bytes]);
  });

  test("decodes bit for bit, aligned or not", () => {
    const bytes = bytesOf(fixture.decode.bytes);
    const expected = bitsOf(floatsOf(fixture.decode.values));
    expect(bitsOf(decode(format, bytes))).toEqual(expected);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(bitsOf(decode(format, shifted.subarray(3)))).toEqual(expected);
  });

  if (searched.includes(name)) {
    test("encodes no worse than ggml's quantizer", () => {
      const ours = relativeErrors(common, decode(format, encode(format, common)));
      const theirs = relativeErrors(common, decode(format, bytesOf(fixture.encode.bytes)));
      for (const [row, error] of ours.entries()) expect(error, `row ${row}`).toBeLessThanOrEqual(theirs[row]! * 1.02);
      expect(sum(ours)).toBeLessThan(sum(theirs));
    });
  } else {
    test("encodes byte for byte", () => {
      const values = fixture.encode.values === undefined ? common : floatsOf(fixture.encode.values);
      expect(encode(format, values)).toEqual(bytesOf(fixture.encode.bytes));
    });
  }
});
