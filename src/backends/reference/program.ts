/** A graph ready to run: its values in order, and where each lies in the arena. */
import { evaluate, type Symbols, symbolNames } from "../../graph/dim.ts";
import { evaluatePolynomial, type Polynomial } from "../../graph/polynomial.ts";
import { type Graph, results, sourceName, type Value, valuesOf } from "../../graph/value.ts";
import type { CacheState } from "../../ops/cache.ts";
import type { Tensor } from "../../ops/op.ts";
import { FrugalError, nearest } from "../../tensor/error.ts";
import { size } from "../../tensor/shape.ts";
import { planValues } from "../../transforms/plan-memory.ts";
import type { Call, Inputs, Outputs } from "../backend.ts";
import { compute, type Numbers, shapeOf } from "./step.ts";

export interface Program {
  readonly name: string;
  readonly outputs: Graph["outputs"];
  readonly updates: NonNullable<Graph["updates"]>;
  readonly order: readonly Value[];
  readonly offsetOf: (value: Value) => Polynomial | undefined;
  /** In elements of 4 bytes. */
  readonly arena: Polynomial;
}

export function compile(name: string, graph: Graph): Program {
  const order = valuesOf(graph);
  const plan = planValues(order, results(graph));
  return { name, outputs: graph.outputs, updates: graph.updates ?? new Map(), order, offsetOf: plan.offsetOf, arena: plan.arena };
}

export interface Memory {
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly arena: ArrayBuffer;
  readonly cache?: CacheState | undefined;
}

/** Longer than this and other work gets its turn. */
const turnMilliseconds = 5;

export async function runProgram(program: Program, call: Call, memory: Memory): Promise<Outputs> {
  const { symbols, inputs, signal } = call;
  signal?.throwIfAborted();
  expectInputs(program, inputs, symbols);
  const found = new Map<Value, Tensor>();
  let turn = performance.now();
  for (const value of program.order) {
    found.set(value, sourceTensor(value, symbols, inputs, memory) ?? step(program, value, found, symbols, memory));
    if (performance.now() - turn < turnMilliseconds) continue;
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal?.throwIfAborted();
    turn = performance.now();
  }
  const outputs = [...program.outputs].map(([name, value]) => [name, found.get(value)!.data.slice() as Float32Array | Int32Array] as const);
  for (const [name, data] of outputs) expectNumbers(program.name, name, data);
  // All are read before any is written: an update may be another weight's old numbers.
  const updates = [...program.updates].map(([name, value]) => [name, found.get(value)!.data.slice()] as const);
  for (const [name, data] of updates) memory.weights.get(name)!.set(data);
  return Object.fromEntries(outputs);
}

function sourceTensor(value: Value, symbols: Symbols, inputs: Inputs, memory: Memory): Tensor | undefined {
  if (value.inputs.length > 0) return undefined;
  const data = value.data ?? memory.weights.get(sourceName(value)) ?? inputs[sourceName(value)]!;
  return { shape: shapeOf(value, symbols), data };
}

function step(program: Program, value: Value, found: ReadonlyMap<Value, Tensor>, symbols: Symbols, memory: Memory): Tensor {
  const place = (length: number): Numbers => {
    const offset = program.offsetOf(value);
    const inArena = value.type === "i32" ? Int32Array : Float32Array;
    return offset === undefined ? new inArena(length) : new inArena(memory.arena, 4 * evaluatePolynomial(offset, symbols), length);
  };
  const inputs = value.inputs.map((input) => found.get(input)!);
  return compute(value, inputs, symbols, place, memory.cache);
}

/** Inputs that no output needs are welcome: programs of one kind are called alike. */
function expectInputs(program: Program, inputs: Inputs, symbols: Symbols): void {
  const wanted = new Map(program.order.filter(({ op }) => op === "input").map((value) => [sourceName(value), value]));
  const fail = (name: string, problem: string): never => {
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${program.name}: input "${name}" ${problem}`, { program: program.name, input: name });
  };
  for (const [name, value] of wanted) {
    const data = Object.hasOwn(inputs, name) ? inputs[name] : undefined;
    const shape = shapeOf(value, symbols);
    if (data === undefined) fail(name, missing(name, Object.keys(inputs)));
    else if (data instanceof Int32Array !== (value.type === "i32"))
      fail(name, `must be an ${value.type === "i32" ? "Int32Array" : "Float32Array"}`);
    else if (data.length !== size(shape)) fail(name, `must hold ${size(shape)} numbers for [${shape.join(", ")}], got ${data.length}`);
  }
}

function missing(name: string, given: readonly string[]): string {
  const near = nearest(name, given);
  return `is missing; ${near === undefined ? `got ${given.join(", ") || "none"}` : `is it "${near}"?`}`;
}

/** Throws FRUGAL_BAD_ARGUMENT where a symbol is not a size or above its cap. */
export function expectSymbols(program: string, symbols: Symbols, caps: Symbols): void {
  for (const name of symbolNames) {
    const value = evaluate({ constant: 0, coefficients: { [name]: 1 } }, symbols);
    if (!Number.isSafeInteger(value) || value < 0 || value > caps[name])
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `${program}: ${name} must be 0 to ${caps[name]}, which the model was loaded for, got ${value}`,
        { symbol: name, value, cap: caps[name] },
      );
  }
}

function expectNumbers(program: string, output: string, data: Float32Array | Int32Array): void {
  const at = data.findIndex((v: number) => Number.isNaN(v));
  if (at >= 0)
    throw new FrugalError(
      "FRUGAL_NUMERIC",
      `${program}: output "${output}" is not a number at element ${at}; check the weights and inputs`,
      { program, output, element: at },
    );
}
