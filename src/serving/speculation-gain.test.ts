import fc from "fast-check";
import { expect, test } from "vitest";
import { draftsWorth, expectedTokens, leastGain, type Outlook } from "./speculation-gain.ts";

const outlook = (changes: Partial<Outlook>): Outlook => ({
  most: 8,
  acceptance: 0.8,
  rows: 1,
  tokens: 1,
  stepTime: (rows) => 10 + rows,
  draftTime: 0,
  ...changes,
});

test("expected tokens are the paper's sum", () => {
  for (const acceptance of [0, 0.3, 0.9, 1])
    for (const drafts of [0, 1, 5]) {
      let sum = 0;
      for (let i = 0; i <= drafts; i++) sum += acceptance ** i;
      expect(expectedTokens(acceptance, drafts)).toBeCloseTo(sum, 12);
    }
});

test("nothing measured: as many as may be, so that something is", () => {
  expect(draftsWorth(outlook({ stepTime: () => undefined }))).toBe(8);
});

test("steps bound by memory verify many, steps bound by arithmetic none", () => {
  expect(draftsWorth(outlook({ acceptance: 1, stepTime: () => 10 }))).toBe(8);
  expect(draftsWorth(outlook({ acceptance: 1, most: 3, stepTime: () => 10 }))).toBe(3);
  expect(draftsWorth(outlook({ acceptance: 0.95, stepTime: (rows) => 10 * rows }))).toBe(0);
});

test("each quantity counts as the formula says", () => {
  // One proposal: gain = 1.5 / (10.5 / 10) at acceptance 0.5 and half a millisecond a row.
  const steps = (rows: number): number => 9.5 + 0.5 * rows;
  expect(draftsWorth(outlook({ acceptance: 0.5, stepTime: steps }))).toBeGreaterThan(0);
  expect(draftsWorth(outlook({ acceptance: 0.05, stepTime: steps }))).toBe(0);
  expect(draftsWorth(outlook({ acceptance: 0.5, stepTime: steps, draftTime: 5 }))).toBe(0);
  // Eight texts beside it pay for its rows too.
  const busy = (rows: number): number => 2 + rows;
  expect(draftsWorth(outlook({ acceptance: 0.6, stepTime: busy }))).toBeGreaterThan(0);
  expect(draftsWorth(outlook({ acceptance: 0.6, stepTime: busy, rows: 16, tokens: 16 }))).toBe(0);
});

test("no other number would be better, and it always gains", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 5, noNaN: true }),
      fc.integer({ min: 1, max: 16 }),
      fc.array(fc.double({ min: 0, max: 4, noNaN: true }), { minLength: 40, maxLength: 40 }),
      (acceptance, draftTime, rows, slopes) => {
        const times = slopes.reduce<number[]>((all, slope) => [...all, (all.at(-1) ?? 5) + slope], []);
        const stepTime = (n: number): number => times[n]!;
        const worth = draftsWorth({ most: 12, acceptance, rows, tokens: rows, stepTime, draftTime });
        const gain = (drafts: number): number =>
          (((rows - 1 + expectedTokens(acceptance, drafts)) / rows) * stepTime(rows)) / (stepTime(rows + drafts) + drafts * draftTime);
        for (let drafts = 1; drafts <= 12; drafts++) expect(gain(drafts)).toBeLessThanOrEqual(Math.max(leastGain, gain(worth)) + 1e-12);
        if (worth > 0) expect(gain(worth)).toBeGreaterThan(leastGain);
      },
    ),
  );
});
