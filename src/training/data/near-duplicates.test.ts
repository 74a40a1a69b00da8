/** Estimates against exact resemblance, and meetings against their probability. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { estimate, resemblance, shingles, signature } from "./min-hash.ts";
import { meetingProbability, nearDuplicates } from "./near-duplicates.ts";

const set = (numbers: Iterable<number>): Uint32Array => Uint32Array.from(new Set(numbers)).sort();

/** Two sets of which `common` of `union` elements are in both. */
function pair(common: number, union: number, salt: number): [Uint32Array, Uint32Array] {
  const element = (i: number): number => Math.imul(salt * 65536 + i + 1, 2654435761) >>> 0;
  const own = (union - common) / 2;
  const shared = Array.from({ length: common }, (_, i) => element(i));
  const only = (from: number): number[] => Array.from({ length: own }, (_, i) => element(from + i));
  return [set([...shared, ...only(common)]), set([...shared, ...only(common + own)])];
}

/** Words of no language, by number. */
const wordsOf = (numbers: readonly number[]): string => numbers.map((n) => `w${n.toString(36)}`).join(" ");
const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i);

describe("resemblance", () => {
  it("is what sets say", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(30)), fc.array(fc.nat(30)), (a, b) => {
        const [x, y] = [new Set(a), new Set(b)];
        const union = new Set([...a, ...b]).size;
        const common = [...x].filter((each) => y.has(each)).length;
        expect(resemblance(set(a), set(b))).toBe(union === 0 ? 1 : common / union);
      }),
    );
  });
});

describe("shingles", () => {
  it("are runs of words, without case and punctuation", () => {
    expect(shingles("One two, three FOUR", 3)).toHaveLength(2);
    expect(shingles("one two three four!", 3)).toEqual(shingles("One, (two) three -- four", 3));
    expect(shingles("one two three four", 2)).toHaveLength(3);
    expect(shingles("a b a b a b", 2)).toHaveLength(2);
    expect(shingles("one two", 5)).toHaveLength(1);
    expect(shingles(" ... ", 5)).toHaveLength(0);
    expect(shingles("我喜欢猫", 2)).toHaveLength(3);
  });
});

describe("signature", () => {
  it.each([0.2, 0.5, 0.8, 0.95])("estimates a resemblance of %d within its deviation", (wanted) => {
    const entries = 256;
    const errors = range(40).map((salt) => {
      const [a, b] = pair(200 * wanted, 200, salt);
      expect(resemblance(a, b)).toBeCloseTo(wanted, 10);
      return estimate(signature(a, entries, 7), signature(b, entries, 7)) - wanted;
    });
    const deviation = Math.sqrt((wanted * (1 - wanted)) / entries);
    // Four deviations of the mean, and the spread itself within a third.
    expect(Math.abs(errors.reduce((sum, each) => sum + each, 0) / 40)).toBeLessThan((4 * deviation) / Math.sqrt(40));
    const spread = Math.sqrt(errors.reduce((sum, each) => sum + each * each, 0) / 40);
    expect(spread / deviation).toBeGreaterThan(0.66);
    expect(spread / deviation).toBeLessThan(1.5);
  });

  it("depends on the seed and on nothing else", () => {
    const [a] = pair(50, 100, 1);
    expect(signature(a, 8, 1)).toEqual(signature(a, 8, 1));
    expect(signature(a, 8, 1)).not.toEqual(signature(a, 8, 2));
    expect(signature(a, 8, 1)).toEqual(signature(a, 16, 1).subarray(0, 8));
  });
});

describe("nearDuplicates", () => {
  it("finds a text that differs in a word, and keeps others", () => {
    const seen = nearDuplicates();
    const words = range(200);
    expect(seen.add(wordsOf(words))).toBeUndefined();
    expect(seen.add(wordsOf(range(200, 1000)))).toBeUndefined();
    expect(seen.add(wordsOf(words.with(100, 9999)))).toBe(0);
    expect(seen.add(wordsOf(range(200, 1000)).toUpperCase())).toBe(1);
    expect(seen.add(wordsOf(range(200, 5000)))).toBeUndefined();
    expect(seen.add(wordsOf(range(200, 5000)))).toBe(4);
  });

  it("takes nothing below the threshold for a repetition, and nearly all above it", () => {
    const options = { threshold: 0.7, words: 1, bands: 32, rows: 4 };
    let [missed, likely] = [0, 0];
    for (let salt = 0; salt < 120; salt++) {
      const differing = salt % 40;
      const base = range(100, 1000 * salt);
      const other = base.map((n, i) => (i < differing ? n + 500 : n));
      const exact = (100 - differing) / (100 + differing);
      const seen = nearDuplicates({ ...options, seed: salt });
      seen.add(wordsOf(base));
      const found = seen.add(wordsOf(other)) !== undefined;
      if (exact < 0.7) expect(found).toBe(false);
      else {
        likely++;
        missed += found ? 0 : 1;
      }
    }
    // At 0.7 they meet with probability 0.9999.
    expect(likely).toBeGreaterThan(40);
    expect(missed).toBe(0);
  });

  it("compares as many as the bands say", () => {
    // One band of two rows: half resembling texts meet one time in four.
    const meetings = range(400).filter((salt) => {
      const [a, b] = [range(60, 1000 * salt), range(60, 1000 * salt + 20)];
      const seen = nearDuplicates({ threshold: 0.4, words: 1, bands: 1, rows: 2, seed: salt });
      seen.add(wordsOf(a));
      return seen.add(wordsOf(b)) !== undefined;
    }).length;
    const wanted = meetingProbability(0.5, 1, 2);
    expect(wanted).toBe(0.25);
    expect(Math.abs(meetings / 400 - wanted)).toBeLessThan(4 * Math.sqrt((wanted * (1 - wanted)) / 400));
    expect(meetingProbability(0.8, 20, 10)).toBeCloseTo(0.897, 3);
  });

  it("heeds every option", () => {
    const differs = (options: object): boolean => {
      const seen = nearDuplicates(options);
      seen.add(wordsOf(range(100)));
      return seen.add(wordsOf(range(100).with(50, 999).with(20, 998))) === undefined;
    };
    // Ten of 106 runs of five words are new.
    expect(differs({ threshold: 0.8, bands: 50, rows: 4 })).toBe(false);
    expect(differs({ threshold: 0.9, bands: 50, rows: 4 })).toBe(true);
    expect(differs({ threshold: 0.9, bands: 50, rows: 4, words: 1 })).toBe(false);
    expect(differs({ threshold: 0.8, bands: 1, rows: 200 })).toBe(true);
  });

  it("refuses options that mean nothing", () => {
    expect(() => nearDuplicates({ threshold: 0 })).toThrow(/threshold is 0/);
    expect(() => nearDuplicates({ bands: 0 })).toThrow(/bands is 0/);
    expect(() => nearDuplicates({ rows: 1.5 })).toThrow(/rows is 1.5/);
    expect(() => nearDuplicates({ words: -1 })).toThrow(/words is -1/);
    expect(() => nearDuplicates({ treshold: 0.5 } as object)).toThrow(/did you mean threshold/);
  });
});
