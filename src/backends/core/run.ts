/** One run of a program on the core: inputs are checked, outputs made, and what went wrong becomes a typed error. */
import { type Dims, evaluate, type Symbols, symbolNames } from "../../graph/dim.ts";
import { sourceName, type Value } from "../../graph/value.ts";
import { FrugalError, nearest } from "../../tensor/error.ts";
import type { Call, Outputs } from "../backend.ts";
import type { Core } from "./core.ts";
import type { Lowered } from "./lowering.ts";
import { kernels } from "./words.ts";

/** A program as the core knows it. */
export interface Program {
  readonly index: number;
  readonly lowered: Lowered;
}

export async function runProgram(core: Core, program: Program, call: Call, caps: Symbols): Promise<Outputs> {
  call.signal?.throwIfAborted();
  for (const name of symbolNames) {
    const value = call.symbols[name];
    if (!Number.isInteger(value) || value < 0 || value > caps[name])
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${core.name}: ${name} must be a whole number from 0 to ${caps[name]}, got ${value}`, {
        symbol: name,
        value,
      });
  }
  const { lowered } = program;
  const inputs = lowered.inputs.map((value) => inputArray(core.name, value, call));
  const outputs = lowered.outputs.map(([name, value]) => {
    const length = count(value.shape, call.symbols);
    const given = call.into?.[name];
    if (given !== undefined && given.length === length && given instanceof (value.type === "i32" ? Int32Array : Float32Array)) return given;
    return value.type === "i32" ? new Int32Array(length) : new Float32Array(length);
  });
  const symbols = Int32Array.from(symbolNames, (name) => call.symbols[name]);
  const [kind, step, fault, kernel, detail] = await core.run(program.index, symbols, inputs, outputs, call.signal);
  call.signal?.throwIfAborted();
  if (kind !== 0) throw runError(core.name, { kind, step, fault, kernel: kernels[kernel] ?? "?", detail }, lowered);
  return Object.fromEntries(lowered.outputs.map(([name], i) => [name, outputs[i]!]));
}

export const count = (shape: Dims, symbols: Symbols): number => shape.reduce<number>((n, dim) => n * evaluate(dim, symbols), 1);

function inputArray(backend: string, value: Value, { inputs, symbols, program }: Call): Int32Array | Float32Array {
  const name = sourceName(value);
  const given = inputs[name];
  const length = count(value.shape, symbols);
  const fits = value.type === "i32" ? given instanceof Int32Array : given instanceof Float32Array;
  if (given !== undefined && fits && given.length === length) return given;
  const wanted = value.type === "i32" ? "Int32Array" : "Float32Array";
  const got = given === undefined ? "nothing" : `${given.constructor.name} of ${given.length}`;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${backend}: input "${name}" of "${program}" must be a ${wanted} of ${length}, got ${got}`, {
    input: name,
    length,
  });
}

interface Failure {
  readonly kind: number;
  readonly step: number;
  readonly fault: number;
  readonly kernel: string;
  readonly detail: number;
}

/** By the numbers of `Fault` in native/runtime/step.h. */
const faults: Readonly<Record<number, (failure: Failure, lowered: Lowered) => FrugalError>> = {
  1: ({ kernel, detail }) =>
    new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${kernel}: ${detail} is out of range; ids must be below the rows of their table, and offsets must rise to the number of rows`,
      {
        kernel,
        id: detail,
      },
    ),
  2: ({ kernel, detail }) =>
    new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${kernel}: position, length or page ${detail} is outside the cache; check positions, contextLengths and pageTable`,
      { kernel, detail },
    ),
  3({ step }, lowered) {
    const place = lowered.steps[step]?.operands[0]?.place;
    const output = place !== undefined && "index" in place ? lowered.outputs[place.index]?.[0] : undefined;
    return new FrugalError(
      "FRUGAL_NUMERIC",
      `output "${output}": holds NaN or infinity; the weights are broken, or too large for their format`,
      { output },
    );
  },
};

function runError(backend: string, failure: Failure, lowered: Lowered): FrugalError {
  const known = failure.kind === 2 ? faults[failure.fault] : undefined;
  if (known) return known(failure, lowered);
  const { step, kernel, kind, fault } = failure;
  return new FrugalError(
    "FRUGAL_INTERNAL",
    `${backend}: step ${step} of ${lowered.steps.length} (${kernel}) failed with outcome ${kind}, fault ${fault}`,
    { step, kind, fault },
  );
}

export function unknownProgram(backend: string, name: string, known: Iterable<string>): FrugalError {
  const names = [...known];
  const near = nearest(name, names);
  return new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${backend}: no program "${name}"; ${near === undefined ? `there are ${names.join(", ")}` : `did you mean "${near}"?`}`,
  );
}
