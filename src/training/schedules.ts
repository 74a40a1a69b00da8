/** Learning rate schedules: what the rate is multiplied by at each step. The same numbers as transformers' `get_scheduler`. */
import { FrugalError, nearest } from "../tensor/error.ts";
import { checkOptions, wholeNumber } from "../tensor/options.ts";

/** What is left of the rate when the share `progress` (0 to 1) of the steps after the warm-up is done. */
const courses = {
  constant: () => 1,
  linear: (progress: number): number => 1 - progress,
  cosine: (progress: number): number => 0.5 * (1 + Math.cos(Math.PI * progress)),
};

export type ScheduleKind = keyof typeof courses;
export const scheduleKinds: readonly ScheduleKind[] = Object.keys(courses) as ScheduleKind[];

export interface ScheduleOptions {
  readonly kind: ScheduleKind;
  /** Steps of the whole training, at whose end linear and cosine reach the floor. */
  readonly steps: number;
  /** So many steps rise from 0 to 1 first: step i of them is i / warmUpSteps, the first step thus 0. */
  readonly warmUpSteps?: number;
  /** What linear and cosine end at, as a share of the rate; 0. */
  readonly floor?: number;
}

/**
 * The factor of a step, of which 0 is the first; the floor from `steps` on. Throws FRUGAL_BAD_ARGUMENT for options that are unknown or do
 * not fit each other.
 * @example
 * const factor = createSchedule({ kind: "cosine", steps: 1000, warmUpSteps: 100 });
 * const rateAt = (step: number): number => 3e-4 * factor(step);
 */
export function createSchedule(options: ScheduleOptions): (step: number) => number {
  checkOptions("schedule", options, ["kind", "steps", "warmUpSteps", "floor"]);
  const { kind, steps, warmUpSteps = 0, floor = 0 } = options;
  if (!Object.hasOwn(courses, kind)) {
    const near = nearest(String(kind), scheduleKinds);
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `schedule: there is no "${String(kind)}"; ${near === undefined ? `there are ${scheduleKinds.join(", ")}` : `did you mean "${near}"?`}`,
    );
  }
  wholeNumber("schedule", "steps", steps, 1);
  wholeNumber("schedule", "warmUpSteps", warmUpSteps, 0, steps);
  if (!(floor >= 0 && floor <= 1) || (kind === "constant" && floor !== 0))
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `schedule: floor is ${floor} for ${kind}; give 0 to 1, and none where the rate does not fall`,
    );
  const course = courses[kind];
  return (step) => {
    if (step < warmUpSteps) return step / warmUpSteps;
    const progress = Math.min(1, (step - warmUpSteps) / Math.max(1, steps - warmUpSteps));
    return floor + (1 - floor) * course(progress);
  };
}
