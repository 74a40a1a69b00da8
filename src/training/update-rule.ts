/** The contract of optimizers: one step of one parameter, as graph. `training/update-rules/` has one file a rule. */
import type { Value } from "../graph/value.ts";
import type { Builder } from "../ops/op.ts";

export interface ParameterStep {
  readonly b: Builder;
  readonly name: string;
  readonly parameter: Value;
  /** Clipped and unscaled already, of the parameter's shape. */
  readonly gradient: Value;
  /** [1]: the learning rate of this step, schedule and factors included. */
  readonly rate: Value;
  /** [1]: 1 in the first step. */
  readonly count: Value;
  /**
   * Numbers that are kept from step to step, all `initial` at first. The rule returns what they become.
   * A scalar spreads over any shape: b.mul(x, b.reshape(scalar, { shape: [1, 1] })) for rank 2.
   */
  state(name: string, shape: readonly number[], initial?: number): Value;
}

export interface StepResult {
  readonly parameter: Value;
  /** New numbers of each state asked for, by its name. */
  readonly state: Readonly<Record<string, Value>>;
}

export interface UpdateRule {
  readonly name: string;
  /** Built once a parameter; composed of plain ops, which backends fuse. */
  step(of: ParameterStep): StepResult;
  /** The update needs nothing but one gradient, so it may be done as soon as that is known and no gradient is kept (LOMO, arXiv 2306.09782). */
  readonly fusesIntoBackward?: boolean;
  /** Each number's update needs its own gradient and states alone, in shapes of the parameter: its rows may be updated apart. */
  readonly elementwise?: boolean;
}
