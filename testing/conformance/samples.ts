/** Every op's samples as graphs with their numbers. */
import { apply, allOps, createBuilder, opRules } from "../../src/ops/builder.ts";
import type { Attributes, Graph, Value } from "../../src/graph/value.ts";
import type { AnyOp } from "../../src/ops/op.ts";
import { size } from "../../src/tensor/shape.ts";
import { numbersOf } from "./numbers.ts";

export interface SampleCase {
  /** "rope 2: headSize=10, style=half" */
  readonly name: string;
  readonly op: AnyOp;
  readonly index: number;
  readonly attributes: Attributes;
  readonly inputs: readonly Value[];
  readonly result: Value;
  readonly graph: Graph;
  readonly sources: Readonly<Record<string, Float32Array | Int32Array>>;
}

export const sampleCases: readonly SampleCase[] = Object.values(allOps).flatMap((op) =>
  op.samples.map((_, index) => sampleCase(op, index)),
);

/** The sample, with other attributes where some are given. */
export function sampleCase(op: AnyOp, index: number, attributes: Attributes = op.samples[index]!.attributes): SampleCase {
  const sample = op.samples[index]!;
  const b = createBuilder();
  const sources: Record<string, Float32Array | Int32Array> = {};
  const shapes = sample.shapes as readonly (readonly number[])[];
  const inputs = shapes.map((shape, i) => {
    const type = op.inputTypes?.[i] ?? "f32";
    sources[`x${i}`] = numbersOf(sample.domains?.[i] ?? "normal", size(shape), type, 1000 * index + i);
    return b.input(`x${i}`, { shape, type });
  });
  const result = apply(opRules[op.name]!, inputs, attributes);
  const printed = Object.entries(attributes).map(
    ([name, value]) => `${name}=${Array.isArray(value) ? `[${value.slice(0, 4).join()}]` : String(value)}`,
  );
  return {
    name: `${op.name} ${index}: ${[...shapes.map((s) => `[${s.join()}]`), ...printed].join(", ")}`,
    op,
    index,
    attributes,
    inputs,
    result,
    graph: { outputs: new Map([["y", result]]) },
    sources,
  };
}
