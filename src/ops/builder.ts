/** Makes values: one function for each op, which checks its inputs and attributes and infers the shape. */
import { type Dims, printDims, sameDims } from "../graph/dim.ts";
import { infer, type OpRule } from "../graph/rule.ts";
import type { Attributes, ElementType, Value } from "../graph/value.ts";
import { FrugalError } from "../tensor/error.ts";
import { type Shape, size } from "../tensor/shape.ts";
import * as ops from "./index.ts";
import { type AnyOp, type Builder, ShapeError } from "./op.ts";

/** Every op by its name. */
export const allOps: Readonly<Record<string, AnyOp>> = ops as unknown as Readonly<Record<string, AnyOp>>;

/** The same, as graph/ checks uses of them. */
export const opRules: Readonly<Record<string, OpRule>> = ops as unknown as Readonly<Record<string, OpRule>>;

/** A value of the op; throws FRUGAL_SHAPE or FRUGAL_BAD_ARGUMENT where inputs or attributes don't fit. */
export function apply(rule: OpRule, inputs: readonly Value[], given: Attributes): Value {
  const attributes = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { op: rule.name, inputs, attributes, ...infer(rule, inputs, attributes) };
}

/**
 * A builder of one graph; `record` is called with each value it makes, in order.
 * @example
 * const b = createBuilder();
 * const x = b.input("x", { shape: [symbol("T"), 64], type: "f32" });
 * const y = b.activation(b.matmul(x, b.weight("up", [256, 64])), { kind: "silu" });
 */
export function createBuilder(record: (value: Value) => void = () => undefined): Builder {
  const named = new Map<string, Value>();
  function source(op: string, name: string, shape: Dims, type: ElementType): Value {
    const known = named.get(name);
    if (known === undefined) {
      const value: Value = { op, inputs: [], attributes: { name }, shape, type };
      named.set(name, value);
      return value;
    }
    if (known.op !== op || known.type !== type || !sameDims(known.shape, shape))
      throw new ShapeError(
        `${op} "${name}": asked for as ${type}${printDims(shape)}, but it is the ${known.op} ${known.type}${printDims(known.shape)} already`,
      );
    return known;
  }

  const sources = {
    input: (name: string, of: { readonly shape: Dims; readonly type: ElementType }): Value => source("input", name, of.shape, of.type),
    weight: (name: string, shape: Shape): Value => source("weight", name, shape, "f32"),
    constant,
  };
  const calls = Object.entries(opRules).map(([name, rule]): [string, (...args: unknown[]) => Value] => [
    name,
    (...args) => {
      const arity = rule.arity === "many" ? 1 : rule.arity;
      const inputs = (rule.arity === "many" ? args[0] : args.slice(0, arity)) as readonly Value[];
      if (args.length < arity || args.length > arity + 1)
        throw new FrugalError(
          "FRUGAL_BAD_ARGUMENT",
          `${name}: takes ${rule.arity} inputs and its attributes, got ${args.length} arguments`,
        );
      const value = apply(rule, inputs, (args[arity] ?? {}) as Attributes);
      record(value);
      return value;
    },
  ]);
  return { ...Object.fromEntries(calls), ...sources } as unknown as Builder;
}

function constant(data: Float32Array | Int32Array, shape: Shape): Value {
  if (data.length !== size(shape)) throw new ShapeError(`constant: [${shape.join(", ")}] needs ${size(shape)} numbers, got ${data.length}`);
  return {
    op: "constant",
    inputs: [],
    attributes: { name: contentName(data) },
    shape,
    type: data instanceof Int32Array ? "i32" : "f32",
    data,
  };
}

/** A name that depends on the numbers alone (FNV-1a over their bytes), so that printed graphs are the same from run to run. */
function contentName(data: Float32Array | Int32Array): string {
  let hash = 0x811c9dc5;
  for (const byte of new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) hash = Math.imul(hash ^ byte, 0x01000193);
  return `constant-${(hash >>> 0).toString(16).padStart(8, "0")}`;
}
