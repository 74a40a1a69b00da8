/** Every rule, with each of its options changed in turn, against PyTorch, transformers and bitsandbytes (testing/oracles/optimizers.py). */
import { describe, expect, it } from "vitest";
import { loadRule, type Parameter, readOptimizerTruth } from "../../../testing/update-rules.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import { createUpdateRule, updateRuleNames } from "./index.ts";

interface Case {
  readonly rule: string;
  readonly options: object;
  readonly rates: readonly number[];
}

const truth = await readOptimizerTruth();
const cases = truth.described("cases") as readonly Case[];
const kept = truth.described("kept") as readonly number[];
const parameter = (name: string, shape: readonly number[], prefix = ""): Parameter => ({
  name,
  shape,
  start: truth.numbers(`${prefix}start.${name}`),
  gradients: truth.numbers(`${prefix}gradients.${name}`),
});
const parameters = [parameter("vector", [7]), parameter("matrix", [5, 6])];

/** The parameters after each step that the truth has. */
async function trajectory({ rule, options, rates }: Case): Promise<Record<string, number[]>> {
  const run = await loadRule(createReferenceBackend(), createUpdateRule(rule, options), parameters);
  const found: Record<string, number[]> = { vector: [], matrix: [] };
  for (const [t, rate] of rates.entries()) {
    await run.step(t, rate);
    if (kept.includes(t + 1)) for (const { name } of parameters) found[name]!.push(...(await run.loaded.readWeight(name)));
  }
  await run.loaded.dispose();
  return found;
}

describe.each(updateRuleNames.filter((name) => cases.some(({ rule }) => rule === name)))("%s", (name) => {
  const own = cases.flatMap((each, i) => (each.rule === name ? [[JSON.stringify(each.options), i, each] as const] : []));

  it.each(own)("goes the same way with %s", async (_, index, each) => {
    const found = await trajectory(each);
    for (const { name: of } of parameters) {
      const wanted = truth.numbers(`${index}.${of}`);
      expect(wanted.length).toBe(found[of]!.length);
      wanted.forEach((v, i) => {
        const difference = Math.abs(found[of]![i]! - v) / Math.max(0.1, Math.abs(v));
        expect(difference, `${of}[${i}]: ${found[of]![i]} and ${v}`).toBeLessThan(3e-6);
      });
    }
  });

  it("goes another way with each option", () => {
    const ends = own.map(([, index]) => truth.numbers(`${index}.matrix`).slice(-30).join());
    expect(new Set(ends).size).toBe(own.length);
  });
});

/** The matrix after all steps of a rule's usual options, updated whole or its first two rows apart. */
async function matrixAfter(rule: string, apart: boolean): Promise<number[]> {
  const [, matrix] = parameters as [Parameter, Parameter];
  const part = (name: string, from: number, to: number): Parameter => ({
    name,
    shape: [to - from, 6],
    start: matrix.start.slice(6 * from, 6 * to),
    gradients: matrix.gradients.filter((_, i) => i % 30 >= 6 * from && i % 30 < 6 * to),
  });
  const parts = apart ? [part("first", 0, 2), part("rest", 2, 5)] : [part("whole", 0, 5)];
  const run = await loadRule(createReferenceBackend(), createUpdateRule(rule, rule === "adamw-8bit" ? { minimumSize: 1 } : {}), parts);
  for (let t = 0; t < 14; t++) await run.step(t, 0.02);
  const numbers = await Promise.all(parts.map(({ name }) => run.loaded.readWeight(name)));
  await run.loaded.dispose();
  return numbers.flatMap((each) => [...each]);
}

it.each(updateRuleNames)("%s may update rows apart just where it says that it is elementwise", async (rule) => {
  const [whole, apart] = [await matrixAfter(rule, false), await matrixAfter(rule, true)];
  const differs = whole.some((v, i) => v !== apart[i]);
  expect(differs).toBe(createUpdateRule(rule).elementwise !== true);
});
