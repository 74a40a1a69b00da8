/** The native backend: graphs become programs of the C++ core, weights are packed for its kernels, and a run is one asynchronous call. */
import { availableParallelism, totalmem } from "node:os";
import { constant, evaluatePolynomial, type Polynomial, printPolynomial, scaled, upperBound } from "../../graph/polynomial.ts";
import { type Dims, evaluate, symbol, type Symbols, symbolNames } from "../../graph/dim.ts";
import { type Graph, sourceName, type Value, valuesOf } from "../../graph/value.ts";
import { verifyGraph } from "../../graph/verify.ts";
import { opRules } from "../../ops/builder.ts";
import { FrugalError, nearest } from "../../tensor/error.ts";
import { planMemory } from "../../transforms/plan-memory.ts";
import type { Backend, Call, LoadedModel, LoadOptions, MemoryReport, Outputs, Weights } from "../backend.ts";
import { type CacheTable, cacheTables } from "../cache.ts";
import { type Addon, findAddon, type Handle } from "./addon.ts";
import { coreFormat, coreLayers, pageCalls } from "./cache.ts";
import { coarseWeights, lower, matrixWeights } from "./lower.ts";
import type { Lowered, WeightTable } from "./lowering.ts";
import { loadingWeights } from "./weights.ts";
import { expectSlot, slotWeights } from "../slots.ts";
import { expectLength, expectUpdated } from "../weights.ts";
import { encodeProgram, kernels, type Operand } from "./words.ts";

export interface NativeOptions {
  /** Threads that compute together; as many as this process may use where absent. */
  readonly threads?: number;
  /** "avx512", "avx2", "portable"; the best one where absent. */
  readonly instructionSet?: string;
}

/** The native backend, or why this machine has none. */
export function createNativeBackend(options: NativeOptions = {}): { readonly backend: Backend } | { readonly reason: string } {
  const found = findAddon();
  if ("reason" in found) return found;
  const { addon } = found;
  const threads = options.threads ?? availableParallelism();
  const sets = addon.sets();
  const set = options.instructionSet ?? sets[0]!;
  if (!sets.includes(set))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `native: this processor does not run "${set}"; it runs ${sets.join(", ")}`, {
      instructionSet: set,
    });
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `native: threads must be a whole number from 1 to 1024, got ${threads}`, { threads });
  return {
    backend: {
      name: "native",
      description: `native: C++, ${set}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
      load: async (graphs, weights, load) => loadNative(addon, createModel(addon, threads, set), graphs, weights, load),
    },
  };
}

function createModel(addon: Addon, threads: number, set: string): Handle {
  try {
    return addon.create(threads, set);
  } catch (cause) {
    throw new FrugalError(
      "FRUGAL_OUT_OF_MEMORY",
      `native: ${threads} threads can't be started (${(cause as Error).message}); ask for fewer`,
      { threads },
      { cause },
    );
  }
}

/** The kernel sets that this processor runs, best first, or why there is no native core. */
export function instructionSets(): { readonly sets: readonly string[] } | { readonly reason: string } {
  const found = findAddon();
  return "reason" in found ? found : { sets: found.addon.sets() };
}

interface Program {
  readonly index: number;
  readonly lowered: Lowered;
}

/**
 * The core's threads pack weights while programs are made and whoever waits for the model does the rest: packing begins as soon as it is
 * known which weights are matrices.
 */
async function loadNative(
  addon: Addon,
  handle: Handle,
  graphs: Readonly<Record<string, Graph>>,
  weights: Weights,
  options: LoadOptions,
): Promise<LoadedModel> {
  const failed = new AbortController();
  const signal = options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal]);
  let filling: { readonly filled: Promise<void> } | undefined;
  try {
    signal.throwIfAborted();
    for (const graph of Object.values(graphs)) verifyGraph(graph, opRules);
    const orders = Object.values(graphs).map((graph) => valuesOf(graph));
    const updated = new Map(Object.values(graphs).flatMap(({ updates }) => [...(updates ?? [])]));
    const names = new Set(updated.keys());
    const isFew = (size: Polynomial): boolean => evaluatePolynomial(size, options.caps) <= mostAtOnce;
    const loading = loadingWeights(addon, handle, weights, isFew);
    filling = await loading.start(
      orders.flatMap((order) => matrixWeights(order, names)),
      orders.flatMap(coarseWeights),
      signal,
      options.onProgress,
    );
    const compiled = compile(addon, handle, graphs, loading, options);
    const accesses = [...updated].map(([name, { shape }]) => [name, access(addon, handle, loading, name, shape)] as const);
    const slots = slotPrograms(addon, handle, loading, slotWeights(Object.values(graphs)));
    allocate(addon, handle, compiled, options);
    await loading.addVectors(signal);
    await filling.filled;
    const [weightBytes, cacheBytes] = addon.memory(handle);
    const memory = { ...compiled.memory, weights: weightBytes, cache: cacheBytes };
    checkMemory(memory);
    return loadedModel(addon, handle, compiled, new Map(accesses), slots, options.caps, memory);
  } catch (error) {
    failed.abort();
    await filling?.filled.catch(() => undefined);
    await addon.dispose(handle);
    throw error;
  }
}

/** Gives the core its programs and the memory they run in. */
function compile(
  addon: Addon,
  handle: Handle,
  graphs: Readonly<Record<string, Graph>>,
  weights: WeightTable,
  options: LoadOptions,
): Compiled {
  const lowered = Object.entries(graphs).map(([name, graph]) => [name, lower(graph, weights)] as const);
  // Training runs at its caps, so its buffers need not lie apart for other sizes: 229 MB in place of 306 for 6.9 M parameters in bf16.
  const atCaps = (size: Polynomial): Polynomial => constant(evaluatePolynomial(size, options.caps));
  const plans = lowered.map(([name, { buffers }]) =>
    planMemory(graphs[name]!.updates === undefined ? buffers : buffers.map((buffer) => ({ ...buffer, size: atCaps(buffer.size) }))),
  );
  const arena = plans.reduce<Polynomial>((bound, { size }) => upperBound(bound, size), new Map());
  const arenaBytes = 4 * evaluatePolynomial(arena, options.caps);
  const programs = new Map<string, Program>();
  lowered.forEach(([name, program], i) => {
    const words = encodeProgram(program.steps, (buffer) => evaluatePolynomial(plans[i]!.offsets[buffer]!, options.caps));
    const index = addon.addProgram(handle, words);
    if (index < 0) throw new FrugalError("FRUGAL_INTERNAL", `native: the core refuses program "${name}"`);
    programs.set(name, { index, lowered: program });
  });
  return {
    programs,
    tables: cacheTables("native", Object.values(graphs), options.cachePages),
    scratch: Math.max(...lowered.map(([, { scratchBytes }]) => scratchBytes), 64),
    memory: { arena: arenaBytes, arenaFormula: printPolynomial(scaled(arena, 4)) },
  };
}

interface Compiled {
  readonly programs: Map<string, Program>;
  readonly tables: readonly CacheTable[];
  readonly scratch: number;
  readonly memory: Pick<MemoryReport, "arena" | "arenaFormula">;
}

/** The memory that programs run in. */
function allocate(addon: Addon, handle: Handle, { tables, scratch, memory: { arena } }: Compiled, options: LoadOptions): void {
  if (addon.allocate(handle, arena, scratch, coreFormat(options.cacheFormat), coreLayers(tables))) return;
  const pages = tables.map((table) => table.pages).join(" + ") || 0;
  throw new FrugalError(
    "FRUGAL_OUT_OF_MEMORY",
    `native: no memory for an arena of ${arena} bytes and ${pages} pages of cache; ask for a shorter context`,
    { needed: arena },
  );
}

/** Numbers of logits that a loss may hold at once: beyond, computing them twice is better than the memory. */
const mostAtOnce = 1 << 26;

/** Programs that give the numbers of a weight that is updated, and take others. */
interface Access {
  readonly read: number;
  readonly write: number;
  readonly length: number;
}

function access(addon: Addon, handle: Handle, weights: WeightTable, name: string, shape: Dims): Access {
  const weight: Operand = {
    place: { space: "vector", index: weights.vector({ op: "weight", inputs: [], attributes: { name }, shape, type: "f32" }) },
    shape,
  };
  const outside = (space: "input" | "output"): Operand => ({ place: { space, index: 0 }, shape });
  const program = (operands: readonly Operand[]): number =>
    addon.addProgram(
      handle,
      encodeProgram([{ kernel: "copy", operands }], () => 0),
    );
  return {
    read: program([weight, outside("output")]),
    write: program([outside("input"), weight]),
    length: count(shape, { T: 0, S: 0, C: 0, R: 0 }),
  };
}

/** Weights with slots, and by name the program that writes one. */
interface SlotPrograms {
  readonly weights: ReadonlyMap<string, Value>;
  readonly programs: ReadonlyMap<string, number>;
}

function slotPrograms(addon: Addon, handle: Handle, table: WeightTable, weights: ReadonlyMap<string, Value>): SlotPrograms {
  const input = (index: number, shape: Dims): Operand => ({ place: { space: "input", index }, shape });
  const program = (value: Value): number => {
    const weight: Operand = { place: { space: "vector", index: table.vector(value) }, shape: value.shape };
    const step = { kernel: "write_slot", operands: [input(0, [symbol("T")]), input(1, [1]), weight] } as const;
    return addon.addProgram(
      handle,
      encodeProgram([step], () => 0),
    );
  };
  return { weights, programs: new Map([...weights].map(([name, value]) => [name, program(value)])) };
}

/** Programs hold offsets as 31 bits, in 4-byte elements. */
const largestArena = 2 ** 33;

/** The system promises more than it has: what it could never give is refused now rather than when it is touched. */
function checkMemory({ weights, arena, cache }: MemoryReport): void {
  const needed = weights + arena + cache;
  const available = Math.min(totalmem(), process.constrainedMemory() || Infinity);
  if (needed <= available && arena < largestArena) return;
  throw new FrugalError(
    "FRUGAL_OUT_OF_MEMORY",
    `native: needs ${weights} bytes for weights, ${arena} for intermediate results and ${cache} for keys and values, but there are ${available} bytes of memory; ask for a shorter context`,
    { needed, available },
  );
}

function loadedModel(
  addon: Addon,
  handle: Handle,
  { programs, tables }: Compiled,
  accesses: ReadonlyMap<string, Access>,
  slots: SlotPrograms,
  caps: Symbols,
  memory: LoadedModel["memory"],
): LoadedModel {
  let disposed: Promise<void> | undefined;
  const check = (): void => {
    if (disposed) throw new FrugalError("FRUGAL_DISPOSED", "native: the model was disposed; load it again");
  };
  const accessOf = (name: string): Access => {
    check();
    expectUpdated("native", name, new Set(accesses.keys()));
    return accesses.get(name)!;
  };
  const none = (): Int32Array => new Int32Array(4);
  return {
    ...pageCalls(addon, handle, tables, check),
    async readWeight(name) {
      const { read, length } = accessOf(name);
      const numbers = new Float32Array(length);
      await addon.run(handle, read, none(), [], [numbers], new Int32Array(1));
      return numbers;
    },
    async writeWeight(name, numbers) {
      const { write, length } = accessOf(name);
      expectLength("native", name, numbers, length);
      await addon.run(handle, write, none(), [numbers], [], new Int32Array(1));
    },
    async writeSlot(slot, numbers) {
      check();
      expectSlot("native", slots.weights, slot, numbers);
      await Promise.all(
        [...numbers].map(([name, values]) =>
          addon.run(
            handle,
            slots.programs.get(name)!,
            Int32Array.of(values.length, 0, 0, 0),
            [values, Int32Array.of(slot)],
            [],
            new Int32Array(1),
          ),
        ),
      );
    },
    async run(call): Promise<Outputs> {
      check();
      const program = programs.get(call.program);
      if (program === undefined) throw unknownProgram(call.program, programs.keys());
      return runProgram(addon, handle, program, call, caps);
    },
    get memory() {
      return disposed ? { weights: 0, arena: 0, cache: 0, arenaFormula: "0" } : memory;
    },
    dispose() {
      disposed ??= addon.dispose(handle);
      return disposed;
    },
  };
}

async function runProgram(addon: Addon, handle: Handle, program: Program, call: Call, caps: Symbols): Promise<Outputs> {
  call.signal?.throwIfAborted();
  for (const name of symbolNames) {
    const value = call.symbols[name];
    if (!Number.isInteger(value) || value < 0 || value > caps[name])
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `native: ${name} must be a whole number from 0 to ${caps[name]}, got ${value}`, {
        symbol: name,
        value,
      });
  }
  const { lowered } = program;
  const inputs = lowered.inputs.map((value) => inputArray(value, call));
  const outputs = lowered.outputs.map(([name, value]) => {
    const length = count(value.shape, call.symbols);
    const given = call.into?.[name];
    if (given !== undefined && given.length === length && given instanceof (value.type === "i32" ? Int32Array : Float32Array)) return given;
    return value.type === "i32" ? new Int32Array(length) : new Float32Array(length);
  });
  const cancel = new Int32Array(1);
  const abort = (): void => void (cancel[0] = 1);
  call.signal?.addEventListener("abort", abort, { once: true });
  try {
    const symbols = Int32Array.from(symbolNames, (name) => call.symbols[name]);
    const [kind, step, fault, kernel, detail] = await addon.run(handle, program.index, symbols, inputs, outputs, cancel);
    call.signal?.throwIfAborted();
    if (kind !== 0) throw runError({ kind, step, fault, kernel: kernels[kernel] ?? "?", detail }, lowered);
  } finally {
    call.signal?.removeEventListener("abort", abort);
  }
  return Object.fromEntries(lowered.outputs.map(([name], i) => [name, outputs[i]!]));
}

const count = (shape: Dims, symbols: Symbols): number => shape.reduce<number>((n, dim) => n * evaluate(dim, symbols), 1);

function inputArray(value: Value, { inputs, symbols, program }: Call): Int32Array | Float32Array {
  const name = sourceName(value);
  const given = inputs[name];
  const length = count(value.shape, symbols);
  const fits = value.type === "i32" ? given instanceof Int32Array : given instanceof Float32Array;
  if (given !== undefined && fits && given.length === length) return given;
  const wanted = value.type === "i32" ? "Int32Array" : "Float32Array";
  const got = given === undefined ? "nothing" : `${given.constructor.name} of ${given.length}`;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `native: input "${name}" of "${program}" must be a ${wanted} of ${length}, got ${got}`, {
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

function runError(failure: Failure, lowered: Lowered): FrugalError {
  const known = failure.kind === 2 ? faults[failure.fault] : undefined;
  if (known) return known(failure, lowered);
  const { step, kernel, kind, fault } = failure;
  return new FrugalError(
    "FRUGAL_INTERNAL",
    `native: step ${step} of ${lowered.steps.length} (${kernel}) failed with outcome ${kind}, fault ${fault}`,
    { step, kind, fault },
  );
}

function unknownProgram(name: string, known: Iterable<string>): FrugalError {
  const names = [...known];
  const near = nearest(name, names);
  return new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `native: no program "${name}"; ${near === undefined ? `there are ${names.join(", ")}` : `did you mean "${near}"?`}`,
  );
}
