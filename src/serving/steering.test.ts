import { expect, test } from "vitest";
import type { StepReport } from "./serving-stats.ts";
import { createSteering } from "./steering.ts";

const step = { sequences: 1, outputRows: 1, overheadMilliseconds: 0, decodeRows: 1, draftRows: 0, roundTokens: 0 };
/** How much is proposed after these steps of one text, by a strategy that is always right so far. */
function proposedAfter(steps: readonly Partial<StepReport>[]): number {
  let tell: (report: StepReport) => void = () => undefined;
  const engine = { onStep: (listener: typeof tell) => ((tell = listener), () => undefined) };
  const strategy = { propose: (_: readonly number[], most: number) => new Array<number>(most).fill(1), judged: () => undefined };
  const steered = createSteering(engine).steer(strategy, "auto");
  for (let i = 0; i < 20; i++) steered.judged(4, 4);
  for (const report of steps) tell({ ...step, rows: 1, milliseconds: 0, ...report });
  return (steered.propose([1, 2, 3], 7) as readonly number[]).length;
}

test("proposals are verified where that takes less than writing token by token", () => {
  const whole = { rows: 1, milliseconds: 8 };
  expect(proposedAfter([whole, { rows: 8, draftRows: 7, milliseconds: 13 }])).toBeGreaterThan(0);
  expect(proposedAfter([whole, { rows: 8, draftRows: 7, milliseconds: 80 }])).toBe(0);
});

test("a round of the deferred head says what a token takes, not what verifying its rows would", () => {
  const verified = { rows: 8, draftRows: 7, milliseconds: 13 };
  // 8 tokens in 40 ms, one after the other: verifying 8 in 13 is faster.
  expect(
    proposedAfter([verified, ...new Array<Partial<StepReport>>(5).fill({ rows: 8, milliseconds: 40, roundTokens: 8 })]),
  ).toBeGreaterThan(0);
  // 8 tokens in 8 ms: it is not.
  expect(proposedAfter([verified, ...new Array<Partial<StepReport>>(5).fill({ rows: 8, milliseconds: 8, roundTokens: 8 })])).toBe(0);
});
