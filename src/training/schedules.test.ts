/** Schedules against transformers' get_scheduler (testing/oracles/optimizers.py). */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { createSchedule, scheduleKinds, type ScheduleOptions } from "./schedules.ts";

const truth = JSON.parse(
  readFileSync(new URL("../../testing/fixtures/training/schedules.json", import.meta.url), "utf8"),
) as readonly (ScheduleOptions & { readonly factors: readonly number[] })[];

it.each(truth.map(({ factors, ...options }) => [JSON.stringify(options), options, factors] as const))(
  "gives transformers' factors for %s",
  (_, options, factors) => {
    const factor = createSchedule(options);
    factors.forEach((wanted, step) => expect(factor(step), `step ${step}`).toBeCloseTo(wanted, 14));
  },
);

it("knows every kind that the truth has", () => {
  expect(new Set(truth.map(({ kind }) => kind))).toEqual(new Set(scheduleKinds));
});

it("stays at the floor when training goes on", () => {
  expect(createSchedule({ kind: "cosine", steps: 5, floor: 0.1 })(50)).toBe(0.1);
  expect(createSchedule({ kind: "linear", steps: 5 })(6)).toBe(0);
});

it.each([
  [{ kind: "cosin", steps: 5 }, /no "cosin"; did you mean "cosine"/],
  [{ kind: "toString", steps: 5 }, /no "toString"/],
  [{ kind: "linear", steps: 0 }, /steps is 0; give a whole number from 1/],
  [{ kind: "linear", steps: 5, warmUpSteps: 6 }, /warmUpSteps is 6; give a whole number from 0 to 5/],
  [{ kind: "linear", steps: 5, floor: 2 }, /floor is 2 for linear/],
  [{ kind: "constant", steps: 5, floor: 0.5 }, /floor is 0.5 for constant/],
  [{ kind: "linear", steps: 5, warmupSteps: 6 }, /unknown option "warmupSteps"; did you mean warmUpSteps/],
])("refuses %j", (options, message) => {
  expect(() => createSchedule(options as ScheduleOptions)).toThrow(message);
});
