/** Scalars in the graphs of rules: rates, factors that depend on the count of steps, and means. */
import type { Value } from "../../graph/value.ts";
import type { Builder } from "../../ops/op.ts";
import { size } from "../../tensor/shape.ts";

/** A scalar [1] in a shape that spreads over the value. */
export const spreadOver = (b: Builder, scalar: Value, value: Value): Value => b.reshape(scalar, { shape: value.shape.map(() => 1) });

/** scalar · value. */
export const scaled = (b: Builder, scalar: Value, value: Value): Value => b.mul(value, spreadOver(b, scalar, value));

/** The shape of a parameter: weights have no symbols in theirs. */
export const shapeOf = (value: Value): readonly number[] => value.shape as readonly number[];

/**
 * What depends on the count of steps alone is the same for every parameter: built once for each value that counts, so that a program of a
 * hundred parameters does not compute it a hundred times.
 */
export function onceAStep(make: (b: Builder, count: Value) => Value): (b: Builder, count: Value) => Value {
  const made = new WeakMap<Value, Value>();
  return (b, count) => {
    const value = made.get(count) ?? make(b, count);
    made.set(count, value);
    return value;
  };
}

/** 1 − base^count, [1], for a base from 0 to below 1: in f32 the plain difference would lose 4 of 7 digits at 0.999. */
export function oneMinusPower(b: Builder, base: number, count: Value): Value {
  if (base === 0) return b.scale(count, { by: 0, plus: 1 });
  const exponent = b.scale(count, { by: Math.log(base) });
  // 1 − eˣ = −tanh(x / 2) (1 + eˣ)
  return b.mul(b.scale(b.tanh(b.scale(exponent, { by: 0.5 })), { by: -1 }), b.scale(b.exp(exponent), { by: 1, plus: 1 }));
}

/** The root of the mean square of all numbers, [1]. */
export const rootMeanSquare = (b: Builder, value: Value): Value => b.sqrt(b.scale(b.dot(value, value), { by: 1 / size(shapeOf(value)) }));

/** The parameter times 1 − rate · decay (Loshchilov and Hutter 2019, arXiv 1711.05101). */
export const decayed = (b: Builder, parameter: Value, rate: Value, decay: number): Value =>
  decay === 0 ? parameter : scaled(b, b.scale(rate, { by: -decay, plus: 1 }), parameter);

/** keep · average + (1 − keep) · next. */
export const averaged = (b: Builder, average: Value, next: Value, keep: number): Value =>
  b.add(b.scale(average, { by: keep }), b.scale(next, { by: 1 - keep }));
