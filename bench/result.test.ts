/** What is said of samples, and how it is printed. */
import { describe, expect, test } from "vitest";
import { type Claim, type Contestant, timesPeer } from "./claim.ts";
import { claims } from "./claims/index.ts";
import type { Row } from "./measure/interleave.ts";
import type { ModelFacts } from "./measure/model-facts.ts";
import { arithmeticLimit, memoryLimit } from "./measure/shares.ts";
import { figure, printResult } from "./report.ts";
import { judge, skippedResult } from "./result.ts";

const row = (contestant: Contestant, samples: readonly number[], failure?: string): Row => ({
  entrant: { contestant, sample: async () => 0 },
  samples,
  ...(failure === undefined ? {} : { failure }),
});
const claim: Claim = { name: "decode", title: "decode", unit: "tokens/s", goal: timesPeer(1.6), entrants: [] };
const facts: ModelFacts = { name: "m", fileBytes: 1, bytesPerToken: 250e6, bodyParameters: 100e6, format: undefined, isFloat: false };
const claimOf = (name: string): Claim => claims.find((other) => other.name === name)!;

test("the goal is judged by the ratios of rounds", () => {
  // In round 3 the machine was half as fast for both: the medians' ratio would say 1.5.
  const result = judge(claim, [row("frugal", [100, 105, 60]), row("llama.cpp", [50, 70, 30])]);
  expect(result.rows[1]).toMatchObject({ ratioOfMedians: 2, pairwiseRatio: { median: 2, least: 1.5, most: 2 } });
  expect(result).toMatchObject({ isReached: true, peer: "llama.cpp", rows: [{ summary: { median: 100, least: 60, most: 105 } }, {}] });
  expect(judge(claim, [row("frugal", [100]), row("llama.cpp", [80])]).isReached).toBe(false);
});

test("the first peer with samples is who the goal is judged against", () => {
  const rows = [row("frugal", [100]), row("llama.cpp", [], "it broke"), row("node-llama-cpp", [40])];
  expect(judge(claim, rows)).toMatchObject({ peer: "node-llama-cpp", isReached: true });
  expect(judge(claim, rows.slice(0, 2)).isReached).toBeUndefined();
  expect(judge(claim, [row("frugal", [], "broken"), row("llama.cpp", [1])]).isReached).toBeUndefined();
});

test("a speed is held against the machine's limit, round by round", () => {
  const limit = memoryLimit();
  const { share } = judge(claim, [row("frugal", [100, 60])], { limit, row: row("machine", [50, 20]), facts });
  expect(share).toMatchObject({ perToken: 0.25, reached: 20, limit: { median: 35 }, share: { median: 0.625, least: 0.5, most: 0.75 } });
  expect(arithmeticLimit(facts).perToken(facts)).toBe(0.2);
  expect([arithmeticLimit(facts), arithmeticLimit({ ...facts, isFloat: true })].map(({ entrant }) => entrant.variant)).toEqual([
    "int8",
    "f32",
  ]);
});

describe("goals", () => {
  const ratio = (median: number): { median: number; least: number; most: number } => ({ median, least: median, most: median });
  test.each([
    ["decode", 1.6, 1.59],
    ["prefill", 2.2, 2.19],
    ["decode-q8_0", 1.5, 1.49],
    ["decode-f16", 1.1, 1.09],
    ["together", 2, 1.99],
    ["perplexity", 1.0049, 1.0051],
    ["perplexity", 0.9951, 0.9949],
  ])("%s is reached at a ratio of %f, not %f", (name, good, bad) => {
    const { goal } = claimOf(name);
    expect([good, bad].map((value) => goal.reached({ ours: 1, peer: 1, ratio: ratio(value) }))).toEqual([true, false]);
    expect(goal.reached({ ours: 1 })).toBeUndefined();
  });
  test("a first token has a time of its own to reach", () => {
    const { goal } = claimOf("first-token");
    expect([0.5, 0.51].map((ours) => goal.reached({ ours }))).toEqual([true, false]);
    const text = printResult(judge(claimOf("first-token"), [row("frugal", [0.45]), row("llama.cpp", [0.6])]));
    expect(text).toContain("goal: at most 0.5 s: reached\n");
  });
  test("memory is at most the peer's, also where one of them is below the file's size", () => {
    const { goal } = claimOf("memory");
    expect(goal.reached({ ours: -5, peer: 80 })).toBe(true);
    expect(goal.reached({ ours: 81, peer: 80 })).toBe(false);
    expect(goal.reached({ ours: 1 })).toBeUndefined();
  });
  test("each claim has its own name, we enter first, and llama.cpp before others", () => {
    expect(new Set(claims.map(({ name }) => name)).size).toBe(claims.length);
    for (const { entrants } of claims) expect(entrants.slice(0, 2).map(({ contestant }) => contestant)).toEqual(["frugal", "llama.cpp"]);
  });
});

test("the report names medians, spreads, ratios, failures, goal and share", () => {
  const rows = [row("frugal", [116, 118, 110]), row("llama.cpp", [58, 59, 55]), row("node-llama-cpp", [], "npm: no network")];
  const text = printResult(judge(claim, rows, { limit: memoryLimit(), row: row("machine", [31, 32, 30]), facts }));
  expect(text.split("\n")).toEqual([
    "decode, in tokens/s",
    "  frugal               116  (110 to 118)",
    "  llama.cpp           58.0  (55.0 to 59.0)        ours is 2.00x; by rounds 2.00x (2.00x to 2.00x)",
    "  node-llama-cpp  failed: npm: no network",
    "  goal: at least 1.6 times the peer's: reached (peer: llama.cpp)",
    "  share: 250 MB a token come to 29.0 GB/s, 92 % (92 % to 94 %) of the read bandwidth of 31.0 (30.0 to 32.0)",
    "",
  ]);
});

test("perplexities are printed to the digits that the goal needs", () => {
  const text = printResult(judge(claimOf("perplexity"), [row("frugal", [9.0950123]), row("llama.cpp", [9.0946])]));
  expect(text).toContain("9.0950\n");
  expect(text).toContain("9.0946  ours is 1.0000x\n");
});

test("what was not measured says why", () => {
  expect(printResult(skippedResult(claimOf("perplexity"), "give a text"))).toContain("not measured: give a text");
});

test("figures have digits that say something", () => {
  expect([538.4, 53.84, 5.384, 0.5384, -53.84].map(figure)).toEqual(["538", "53.8", "5.38", "0.538", "-53.8"]);
});
