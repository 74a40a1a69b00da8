// Against bitsandbytes (testing/oracles/formats_nf4.py).
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { dynamicLevels, doublyQuantised, quantiseScales, restoreScales } from "./nf4-double.ts";
import { NF4 } from "./nf4.ts";

const fixture = JSON.parse(readFileSync(new URL("../../../testing/fixtures/formats/NF4-double.json", import.meta.url), "utf8")) as Record<
  string,
  string
>;
const bytes = (name: string): Uint8Array => new Uint8Array(Buffer.from(fixture[name]!, "base64"));
const floats = (name: string): Float32Array => new Float32Array(bytes(name).buffer);
const worst = (a: Float32Array, b: Float32Array): number => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

test("the levels are those of bitsandbytes", () => {
  expect(dynamicLevels()).toHaveLength(256);
  expect(worst(dynamicLevels(), floats("levels"))).toBeLessThan(1e-7);
});

test("scales get bitsandbytes' codes and are restored to its numbers", () => {
  const quantised = quantiseScales(floats("scales"));
  expect(quantised.offset).toBeCloseTo(floats("offset")[0]!, 6);
  expect(worst(quantised.scales, floats("code_scales"))).toBeLessThan(1e-6);
  // The mean is summed in another order there, so a scale on a border may fall to its other side.
  const differing = quantised.codes.filter((code, i) => code !== bytes("codes")[i]);
  expect(differing.length).toBeLessThan(3);
  expect(worst(restoreScales(quantised), floats("restored"))).toBeLessThan(differing.length === 0 ? 1e-6 : 0.05);
});

test("a source reads as NF4 blocks anywhere, and keeps 4.127 bits a number", async () => {
  const count = 512 * 64;
  const values = Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.3) * (1 + Math.floor(i / 64) / 100));
  const blocks = new Uint8Array((count / 64) * 36);
  NF4.encode!(values, blocks);
  const source = doublyQuantised("w", blocks);
  expect(source.byteLength).toBe(blocks.length);
  expect((8 * source.bytesKept) / count).toBeCloseTo(4.127, 2);
  const whole = await source.read(0, blocks.length);
  const [plain, restored] = [new Float32Array(count), new Float32Array(count)];
  NF4.decode(blocks, plain);
  NF4.decode(whole, restored);
  expect(worst(plain, restored)).toBeLessThan(0.03);
  expect(await source.read(36 * 3 + 5, 100)).toEqual(whole.slice(36 * 3 + 5, 36 * 3 + 105));
  await expect(source.read(blocks.length - 1, 2)).rejects.toThrow(expect.objectContaining({ code: "FRUGAL_BAD_FILE" }));
  expect(() => doublyQuantised("w", blocks.subarray(1))).toThrow(expect.objectContaining({ code: "FRUGAL_BAD_ARGUMENT" }));
});

test("equal scales, zeros and nothing are restored as they are", () => {
  for (const scale of [0, 0.75]) expect([...restoreScales(quantiseScales(new Float32Array(3).fill(scale)))]).toEqual([scale, scale, scale]);
  expect(restoreScales(quantiseScales(new Float32Array(0)))).toHaveLength(0);
});
