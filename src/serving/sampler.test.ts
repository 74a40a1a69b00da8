import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { choose } from "./sampler.ts";
import { sampling, type SamplingOptions } from "./sampling.ts";

const pick = (logits: readonly number[], options: SamplingOptions, tokens: readonly number[] = []): number =>
  choose(Float32Array.from(logits), sampling(options, logits.length), tokens).id;

/** How often each id is drawn, over positions of one seed. */
function frequencies(logits: readonly number[], options: SamplingOptions, draws = 4000): number[] {
  const counts = new Array<number>(logits.length).fill(0);
  const s = sampling({ seed: 11, temperature: 1, ...options }, logits.length);
  const tokens: number[] = [];
  for (let i = 0; i < draws; i++) {
    counts[choose(Float32Array.from(logits), s, tokens).id]! += 1 / draws;
    tokens.push(0);
  }
  return counts;
}

/** The plain version: sort, cut, renormalise. */
function probabilities(logits: readonly number[], { temperature = 1, topK = 0, topP = 1, minP = 0 }: SamplingOptions): number[] {
  const largest = Math.max(...logits);
  let sorted = logits.map((x, id) => ({ id, mass: Math.exp((x - largest) / temperature) })).sort((a, b) => b.mass - a.mass || a.id - b.id);
  if (topK > 0) sorted = sorted.slice(0, topK);
  const total = sorted.reduce((sum, t) => sum + t.mass, 0);
  let before = 0;
  sorted = sorted.filter((t, i) => {
    const keep = i === 0 || before < topP * total;
    before += t.mass;
    return keep;
  });
  sorted = sorted.filter((t) => t.mass >= minP - 1e-9);
  const kept = sorted.reduce((sum, t) => sum + t.mass, 0);
  const result = new Array<number>(logits.length).fill(0);
  for (const t of sorted) result[t.id] = t.mass / kept;
  return result;
}

describe("greedy", () => {
  test("takes the likeliest, the lowest id among equals", () => {
    expect(pick([1, 3, 3, 2], {})).toBe(1);
    expect(pick([1, 3, 3, 2], { temperature: 2, topK: 1, seed: 4 })).toBe(1);
  });
  test("refuses logits without a finite one", () => {
    expect(() => pick([-Infinity, -Infinity], {})).toThrow(/no token can be chosen/);
    expect(() => pick([Number.NaN, Number.NaN], {})).toThrow(/no token can be chosen/);
    expect(() => pick([1, Infinity], {})).toThrow(/no token can be chosen/);
  });
});

describe("draws follow the plain distribution", () => {
  const logits = [0.2, 2.5, -1, 1.9, 2.4, -40, 0.9, 1.8];
  const cases: readonly SamplingOptions[] = [
    {},
    { temperature: 0.5 },
    { temperature: 3 },
    { topK: 3 },
    { topP: 0.7 },
    { topP: 0.01 },
    { topP: 0 },
    { minP: 0.5 },
    { minP: 1 },
    { topK: 5, topP: 0.8, minP: 0.3, temperature: 1.5 },
  ];
  test.each(cases)("%j", (options) => {
    const expected = probabilities(logits, options);
    frequencies(logits, options).forEach((share, id) => {
      if (expected[id] === 0) expect(share).toBe(0);
      expect(Math.abs(share - expected[id]!)).toBeLessThan(0.03);
    });
  });

  test("only tokens of the plain cut are ever drawn", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -30, max: 30 }), { minLength: 1, maxLength: 40 }),
        fc.record({
          temperature: fc.constantFrom(0.1, 0.7, 1, 4),
          topK: fc.nat(50),
          topP: fc.constantFrom(0, 0.3, 0.9, 1),
          minP: fc.constantFrom(0, 0.05, 0.6),
        }),
        fc.nat(1000),
        (quarters, options, seed) => {
          const logits = quarters.map((q) => q / 4);
          const id = pick(logits, { ...options, seed });
          expect(probabilities(logits, options)[id]).toBeGreaterThan(0);
        },
      ),
    );
  });
});

describe("what changes single logits", () => {
  test("bias is added, -Infinity forbids", () => {
    expect(pick([1, 2, 3], { logitBias: { 0: 5 } })).toBe(0);
    expect(pick([1, 2, 3], { logitBias: { 2: -Infinity } })).toBe(1);
  });
  test("repetition divides positive and multiplies negative logits", () => {
    expect(pick([1.1, 2], { repetitionPenalty: 2 }, [1])).toBe(0);
    expect(pick([-1.1, -1], { repetitionPenalty: 1.2 }, [1])).toBe(0);
    expect(pick([1.1, 2], { repetitionPenalty: 2 }, [0])).toBe(1);
  });
  test("presence counts once, frequency every time", () => {
    expect(pick([1, 2], { presencePenalty: 0.9 }, [1, 1])).toBe(1);
    expect(pick([1, 2], { frequencyPenalty: 0.9 }, [1, 1])).toBe(0);
    expect(pick([1, 2], { presencePenalty: 1.1 }, [1])).toBe(0);
  });
  test("the window forgets what is further back", () => {
    expect(pick([1, 2], { presencePenalty: 5, penaltyWindow: 2 }, [1, 0, 0])).toBe(1);
    expect(pick([1, 2], { presencePenalty: 5, penaltyWindow: 3 }, [1, 0])).toBe(1);
    expect(pick([1, 2], { presencePenalty: 5, penaltyWindow: 3 }, [1])).toBe(0);
  });
});

test("log probabilities are the model's own", () => {
  const logits = [1, 3, 2, 3];
  const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
  const choice = choose(Float32Array.from(logits), sampling({ logprobs: 3, logitBias: { 0: 10 } }, 4), []);
  expect(choice.id).toBe(0);
  expect(choice.logprob).toBeCloseTo(1 - total, 9);
  expect(choice.alternatives?.map((a) => a.id)).toEqual([1, 3, 2]);
  expect(choice.alternatives?.[2]?.logprob).toBeCloseTo(2 - total, 9);
  expect(choose(Float32Array.from(logits), sampling({ logprobs: 0 }, 4), []).alternatives).toEqual([]);
  expect(choose(Float32Array.from(logits), sampling({}, 4), []).logprob).toBeUndefined();
});

test("options out of range are named", () => {
  for (const options of [
    { temperature: -1 },
    { topP: 2 },
    { topK: 1.5 },
    { minP: Number.NaN },
    { logitBias: { 9: 1 } },
    { seed: -1 },
    { logprobs: 1000 },
  ])
    expect(() => sampling(options as SamplingOptions, 4)).toThrow(/^sampling: /);
});

test("a large vocabulary takes about a millisecond", () => {
  const logits = Float32Array.from({ length: 262_144 }, (_, i) => 8 * Math.sin(i * 12.9898) * Math.cos(i * 4.1414));
  const s = sampling({ temperature: 0.8, topK: 64, topP: 0.95, seed: 1 }, logits.length);
  const time = (options: typeof s): number => {
    let best = Infinity;
    for (let i = 0; i < 40; i++) {
      const start = performance.now();
      choose(logits, options, [i]);
      best = Math.min(best, performance.now() - start);
    }
    return best;
  };
  const [drawn, greedy] = [time(s), time({ ...s, temperature: 0 })];
  // Loose, for busy machines; measured 0.4 and 0.2 ms.
  expect(drawn).toBeLessThan(40);
  expect(greedy).toBeLessThan(20);
  if (process.env["FRUGAL_TIMES"] !== undefined) console.log({ drawn, greedy });
});
