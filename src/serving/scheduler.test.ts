import { expect, test } from "vitest";
import { pageSize } from "../ops/cache.ts";
import type { PageTable } from "./page-tables.ts";
import { createPages } from "./pages.ts";
import { type Budget, type Demand, inTurn, plan } from "./scheduler.ts";
import { createSequence } from "./sequence.ts";
import { stepInputs } from "./step-inputs.ts";

const tables: PageTable[] = [{ name: "pageTable", window: undefined, pages: createPages(100) }];
const budgetOf = (changes: Partial<Budget> = {}): Budget => ({
  rows: 64,
  rowsBesideTexts: 16,
  sequences: 4,
  outputRows: 8,
  freePages: [100],
  tables,
  ...changes,
});
/** A demand with so many tokens known, computed and proposed. */
function demand(known: number, computed: number, changes: Partial<Demand> & { drafts?: number } = {}): Demand {
  const sequence = createSequence(Array.from({ length: known }, (_, i) => i));
  sequence.drafts.push(...Array.from({ length: changes.drafts ?? 0 }, (_, i) => 1000 + i));
  sequence.computed = computed;
  sequence.pages.push(Array.from({ length: Math.ceil(computed / pageSize) }, (_, i) => i));
  return { sequence, readFrom: Infinity, priority: 0, service: 0, started: true, ...changes };
}
const counts = (demands: readonly Demand[], changes: Partial<Budget> = {}): [number, number, number][] =>
  plan(demands, budgetOf(changes)).map((part) => [demands.indexOf(part.demand), part.first, part.count]);

test("one rule for prompts, texts, verification and resumption: each catches up", () => {
  expect(counts([demand(10, 0), demand(20, 19), demand(8, 7, { drafts: 3 }), demand(9, 4)], { rowsBesideTexts: 64 })).toEqual([
    [1, 19, 1],
    [2, 7, 4],
    [0, 0, 10],
    [3, 4, 5],
  ]);
});

test("prompts beside texts get what the latency goal leaves, alone all rows", () => {
  expect(counts([demand(200, 0), demand(5, 4)])).toEqual([
    [1, 4, 1],
    [0, 0, 16],
  ]);
  expect(counts([demand(200, 0)])).toEqual([[0, 0, 64]]);
});

test("no more sequences, rows of logits or pages than there are", () => {
  const writers = Array.from({ length: 6 }, (_, i) => demand(5 + i, 4 + i));
  expect(counts(writers).length).toBe(4);
  expect(counts(writers, { outputRows: 2 }).length).toBe(2);
  // Logits of a whole prompt are read in parts.
  expect(counts([demand(40, 0, { readFrom: 0 })])).toEqual([[0, 0, 8]]);
  expect(counts([demand(200, 0)], { freePages: [1] })).toEqual([[0, 0, pageSize]]);
  expect(counts([demand(65, 64)], { freePages: [0] })).toEqual([]);
  expect(counts([demand(64, 63)], { freePages: [0] })).toEqual([[0, 63, 1]]);
});

test("proposed tokens wait until every text has its next token", () => {
  const demands = [demand(5, 4, { drafts: 7 }), demand(6, 5, { drafts: 7 })];
  expect(counts(demands, { outputRows: 4 })).toEqual([
    [0, 4, 3],
    [1, 5, 1],
  ]);
});

test("a text comes back only when it leaves each of the others a page", () => {
  const back = demand(3 * pageSize, 0, { started: false });
  expect(counts([demand(5, 4), back], { freePages: [3] })).toEqual([[0, 4, 1]]);
  expect(counts([demand(5, 4), back], { freePages: [4] }).length).toBe(2);
});

test("the turn: priority, then those begun, then the tenant that got least, then who came first", () => {
  const demands = [
    demand(5, 0, { started: false, service: 7 }),
    demand(5, 0, { started: false, service: 2 }),
    demand(5, 4, { service: 9 }),
    demand(5, 0, { started: false, priority: -1 }),
    demand(5, 0, { started: false, service: 2 }),
  ];
  expect(inTurn(demands).map((one) => demands.indexOf(one))).toEqual([3, 2, 1, 4, 0]);
});

test("a step is flat arrays; proposed tokens are among them", () => {
  const demands = [demand(3, 2, { drafts: 2 }), demand(2, 0)];
  demands[1]!.sequence.pages[0]!.push(7);
  const { symbols, inputs, reads, program } = stepInputs(plan(demands, budgetOf()), tables);
  expect(program).toBe("generate");
  expect(symbols).toEqual({ T: 5, S: 2, C: 1, R: 4 });
  expect(Object.fromEntries(Object.entries(inputs).map(([name, array]) => [name, [...array]]))).toEqual({
    tokens: [2, 1000, 1001, 0, 1],
    positions: [2, 3, 4, 0, 1],
    rowOffsets: [0, 3, 5],
    contextLengths: [5, 2],
    pageTable: [0, 7],
    outputRows: [0, 1, 2, 4],
  });
  expect(reads).toEqual([
    { part: 0, position: 2 },
    { part: 0, position: 3 },
    { part: 0, position: 4 },
    { part: 1, position: 1 },
  ]);
});
