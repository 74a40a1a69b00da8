/** Draws follow their shares, repeat with the seed, and pass over every example before any comes again. */
import { describe, expect, it } from "vitest";
import { drawMixture, mixingShares } from "./mixture.ts";

describe("mixingShares", () => {
  it("are sizes to the power of 1 / temperature", () => {
    expect(mixingShares([30, 10])).toEqual([0.75, 0.25]);
    expect(mixingShares([100, 1], 2)[1]).toBeCloseTo(1 / 11, 12);
    expect(mixingShares([1e300, 1], 1e6)[0]).toBeCloseTo(0.5, 3);
    expect(mixingShares([1e300, 1], 0.5)).toEqual([1, 0]);
  });

  it("refuse sizes and temperatures that mean nothing", () => {
    expect(() => mixingShares([])).toThrow(/numbers above 0/);
    expect(() => mixingShares([1, 0])).toThrow(/weight 0/);
    expect(() => mixingShares([1, Infinity])).toThrow(/weight Infinity/);
    expect(() => mixingShares([1], 0)).toThrow(/temperature is 0/);
    expect(() => mixingShares([1], Number.NaN)).toThrow(/temperature is NaN/);
  });
});

describe("drawMixture", () => {
  const sizes = [5, 50, 7];
  const shares = [0.5, 0.3, 0.2];

  it("follows the shares", () => {
    const counts = [0, 0, 0];
    for (const { source } of drawMixture(sizes, shares, 10_000, 3)) counts[source]!++;
    for (const [i, share] of shares.entries())
      expect(Math.abs(counts[i]! / 10_000 - share)).toBeLessThan(4 * Math.sqrt((share * (1 - share)) / 10_000));
  });

  it("takes every example of a source once before any again, in new orders", () => {
    const first = drawMixture(sizes, shares, 2000, 3).filter(({ source }) => source === 0);
    const passes = Array.from({ length: 100 }, (_, pass) => first.slice(5 * pass, 5 * pass + 5).map(({ index }) => index));
    for (const pass of passes) expect(pass.toSorted()).toEqual([0, 1, 2, 3, 4]);
    expect(new Set(passes.map((pass) => pass.join())).size).toBeGreaterThan(30);
  });

  it("repeats with the seed, and goes on where it ended", () => {
    expect(drawMixture(sizes, shares, 50, 1)).toEqual(drawMixture(sizes, shares, 100, 1).slice(0, 50));
    expect(drawMixture(sizes, shares, 50, 1)).not.toEqual(drawMixture(sizes, shares, 50, 2));
  });

  it("refuses what it cannot draw from", () => {
    expect(() => drawMixture([1, 2], [1], 5, 0)).toThrow(/2 sources have 1 weights/);
    expect(() => drawMixture([1, 0], [1, 1], 5, 0)).toThrow(/source 1 has 0 examples/);
    expect(() => drawMixture([1], [1], -1, 0)).toThrow(/count is -1/);
    expect(() => drawMixture([1], [1], 1, -1)).toThrow(/seed is -1/);
  });
});
