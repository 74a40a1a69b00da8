/**
 * Adafactor (Shazeer and Stern 2018, arXiv 1804.04235): the second moment of a matrix is kept as the means of its rows and of its columns,
 * v ≈ r cᵀ / mean(r), so the state is rows + columns numbers in place of rows · columns. Equal to transformers' Adafactor.
 */
import type { Value } from "../../graph/value.ts";
import type { Builder } from "../../ops/op.ts";
import { number } from "../../ops/spread.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { ParameterStep, UpdateRule } from "../update-rule.ts";
import { checkRuleOptions, type OptionRule } from "./options.ts";
import { averaged, decayed, onceAStep, rootMeanSquare, scaled, shapeOf } from "./scalars.ts";

export interface AdafactorOptions {
  /** Added to the squared gradient; 1e-30. */
  readonly epsilon?: number;
  /** The least scale of a parameter; 1e-3. */
  readonly scaleEpsilon?: number;
  /** The largest root mean square of an update, before the rate; 1. */
  readonly clipThreshold?: number;
  /** Step t keeps 1 − t^decayRate of the second moment; −0.8. */
  readonly decayRate?: number;
  /** How much of the average of updates each step keeps; where absent there is no average and no state for it. */
  readonly beta1?: number;
  readonly weightDecay?: number;
  /** Multiplies the rate with the root mean square of the parameter, or scaleEpsilon if that is more; off. */
  readonly scaleParameter?: boolean;
  /** Multiplies the rate with min(0.01, 1 / √t): a rate of 1 is the paper's; off. */
  readonly relativeStep?: boolean;
  /** With relativeStep: t · 1e-6 in place of 0.01; off. */
  readonly warmupInit?: boolean;
}

export const adafactorRanges: { readonly [Name in keyof AdafactorOptions]-?: OptionRule } = {
  epsilon: { above: 0 },
  scaleEpsilon: { above: 0 },
  clipThreshold: { above: 0 },
  decayRate: { below: 0 },
  beta1: { from: 0, below: 1 },
  weightDecay: { from: 0 },
  scaleParameter: "boolean",
  relativeStep: "boolean",
  warmupInit: "boolean",
};

export function adafactor(options: AdafactorOptions = {}): UpdateRule {
  checkRuleOptions("adafactor", options, adafactorRanges);
  if (options.warmupInit === true && options.relativeStep !== true)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", "adafactor: warmupInit needs relativeStep; give both, or use a schedule with warm-up");
  return { name: "adafactor", step: adafactorStep(options) };
}

export function adafactorStep(options: AdafactorOptions): UpdateRule["step"] {
  const { epsilon = 1e-30, clipThreshold = 1, decayRate = -0.8, beta1, weightDecay = 0 } = options;
  const rateOf = stepRate(options);
  const share = onceAStep((b, count) => power(b, count, decayRate));
  return (of) => {
    const { b, parameter, gradient, state } = of;
    const [rate, fresh] = [rateOf(of), share(b, of.count)];
    const square = b.scale(b.mul(gradient, gradient), { by: 1, plus: epsilon });
    const secondMoment = shapeOf(parameter).length > 1 ? factored : whole;
    const { update, states } = secondMoment(of, square, (before, next) => b.add(before, scaled(b, fresh, b.sub(next, before))));
    const excess = b.maximum(b.scale(rootMeanSquare(b, update), { by: 1 / clipThreshold }), number(b, 1, 1));
    const step = scaled(b, b.div(rate, excess), update);
    const average = beta1 === undefined ? undefined : averaged(b, state("average", shapeOf(parameter)), step, beta1);
    return {
      parameter: b.sub(decayed(b, parameter, rate, weightDecay), average ?? step),
      state: { ...states, ...(average && { average }) },
    };
  };
}

const power = (b: Builder, x: Value, exponent: number): Value => b.exp(b.scale(b.log(x), { by: exponent }));

function stepRate({
  scaleEpsilon = 1e-3,
  scaleParameter = false,
  relativeStep = false,
  warmupInit = false,
}: AdafactorOptions): (of: ParameterStep) => Value {
  const relative = onceAStep((b, count) =>
    minimum(b, power(b, count, -0.5), b.scale(count, warmupInit ? { by: 1e-6 } : { by: 0, plus: 1e-2 })),
  );
  return ({ b, parameter, rate, count }) => {
    const found = relativeStep ? b.mul(rate, relative(b, count)) : rate;
    return scaleParameter ? b.mul(found, b.maximum(rootMeanSquare(b, parameter), number(b, scaleEpsilon, 1))) : found;
  };
}

const minimum = (b: Builder, x: Value, y: Value): Value => b.scale(b.maximum(b.scale(x, { by: -1 }), b.scale(y, { by: -1 })), { by: -1 });

type Average = (before: Value, next: Value) => Value;
interface SecondMoment {
  /** The gradient over the root of the second moment. */
  readonly update: Value;
  readonly states: Readonly<Record<string, Value>>;
}

function whole({ b, parameter, gradient, state }: ParameterStep, square: Value, average: Average): SecondMoment {
  const second = average(state("second", shapeOf(parameter)), square);
  return { update: b.div(gradient, b.sqrt(second)), states: { second } };
}

/** Of the last two axes; of more, each matrix for itself. */
function factored({ b, parameter, gradient, state }: ParameterStep, square: Value, average: Average): SecondMoment {
  const shape = shapeOf(parameter);
  const [rowAxis, columnAxis] = [shape.length - 2, shape.length - 1];
  const mean = (value: Value, axis: number): Value => b.scale(b.sum(value, { axis }), { by: 1 / (value.shape[axis] as number) });
  const rows = average(state("rows", shape.with(columnAxis, 1)), mean(square, columnAxis));
  const columns = average(state("columns", shape.with(rowAxis, 1)), mean(square, rowAxis));
  const relative = b.sqrt(b.div(rows, mean(rows, rowAxis)));
  return { update: b.div(b.div(gradient, relative), b.sqrt(columns)), states: { rows, columns } };
}
