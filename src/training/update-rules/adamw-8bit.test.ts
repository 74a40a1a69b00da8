/**
 * The 8-bit AdamW against bitsandbytes'. One code is one level's width, so a rounding that differs in the last bit of f32 may choose the
 * neighbour: codes may differ by one, in one of a hundred places at most; all else by 1e-5.
 */
import { expect, it } from "vitest";
import { loadRule, type Parameter, readOptimizerTruth } from "../../../testing/update-rules.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import { codeIn, dynamicLevels, storedPerBlock } from "../../ops/block-codes.ts";
import { adamw8bit, type AdamW8bitOptions } from "./adamw-8bit.ts";
import { adamw } from "./adamw.ts";

const truth = await readOptimizerTruth();
const cases = truth.described("wide") as readonly { readonly options: AdamW8bitOptions; readonly rates: readonly number[] }[];
const kept = truth.described("wideKept") as readonly number[];
const parameters = (["vector", "matrix"] as const).map((name): Parameter => ({
  name,
  shape: name === "vector" ? [9] : [18, 20],
  start: truth.numbers(`wide.start.${name}`),
  gradients: truth.numbers(`wide.gradients.${name}`),
}));

function codesOf(stored: Float32Array, count: number): { readonly codes: number[]; readonly peaks: Float32Array } {
  const words = new Uint32Array(stored.buffer);
  const codes = Array.from({ length: count }, (_, i) => {
    const block = Math.floor(i / 256) * storedPerBlock;
    return codeIn(words[block + 2 + ((i % 256) >> 2)]!, i & 3, stored[block + 1]!);
  });
  return { codes, peaks: stored.filter((_, i) => i % storedPerBlock === 0) };
}

function expectNear(found: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(found.length).toBe(wanted.length);
  for (let i = 0; i < found.length; i++)
    expect(Math.abs(found[i]! - wanted[i]!) / Math.max(0.1, Math.abs(wanted[i]!)), `${i}: ${found[i]} and ${wanted[i]}`).toBeLessThan(1e-5);
}

it.each(cases.map((each, i) => [JSON.stringify(each.options), i, each] as const))(
  "goes bitsandbytes' way with %s",
  async (_, index, each) => {
    const run = await loadRule(createReferenceBackend(), adamw8bit({ ...each.options, minimumSize: 10 }), parameters);
    for (const [t, rate] of each.rates.entries()) {
      await run.step(t, rate);
      if (!kept.includes(t + 1)) continue;
      for (const { name } of parameters) expectNear(await run.loaded.readWeight(name), truth.numbers(`wide.${index}.${t + 1}.${name}`));
    }
    for (const [number, state] of [
      [1, "firstCodes"],
      [2, "secondCodes"],
    ] as const) {
      const { codes, peaks } = codesOf(await run.loaded.readWeight(`adamw-8bit.${state}/matrix`), 360);
      const wanted = truth.numbers(`wide.${index}.codes${number}`);
      const differences = codes.map((code, i) => Math.abs(code - wanted[i]!));
      expect(Math.max(...differences)).toBeLessThanOrEqual(1);
      expect(differences.filter((difference) => difference > 0).length).toBeLessThanOrEqual(3);
      expectNear(peaks, truth.numbers(`wide.${index}.peaks${number}`));
    }
    await run.loaded.dispose();
  },
);

it("has bitsandbytes' levels", () => {
  for (const [number, signed] of [
    [1, true],
    [2, false],
  ] as const)
    dynamicLevels(signed).forEach((level, i) => {
      const wanted = truth.numbers(`wide.levels${number}`)[i]!;
      expect(Math.abs(level - wanted)).toBeLessThanOrEqual(2.4e-7 * Math.abs(wanted));
    });
});

it("goes another way with each option", () => {
  const ends = cases.map((_, i) => truth.numbers(`wide.${i}.${kept.at(-1)!}.matrix`).join());
  expect(new Set(ends).size).toBe(cases.length);
});

it("keeps small parameters in f32, and needs 2.06 bytes for the others where the moments take 8", async () => {
  const [large, small] = [
    await loadRule(createReferenceBackend(), adamw8bit({ minimumSize: 360 }), parameters),
    await loadRule(createReferenceBackend(), adamw8bit({ minimumSize: 361 }), parameters),
  ];
  const plain = await loadRule(createReferenceBackend(), adamw(), parameters);
  expect(large.states).toContain("adamw-8bit.firstCodes/matrix");
  expect(large.states).toContain("adamw-8bit.first/vector");
  expect(small.states).not.toContain("adamw-8bit.firstCodes/matrix");
  expect(small.loaded.memory.weights).toBe(plain.loaded.memory.weights);
  // Two blocks of 66 for each moment.
  expect(plain.loaded.memory.weights - large.loaded.memory.weights).toBe(2 * 4 * (360 - 2 * 66));
  for (const { loaded } of [large, small, plain]) await loaded.dispose();
});
