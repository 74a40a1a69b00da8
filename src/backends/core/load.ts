/** A model on the C++ core: graphs become programs, weights are packed for its kernels, and a run is one asynchronous call. */
import { constant, evaluatePolynomial, type Polynomial, printPolynomial, scaled, upperBound } from "../../graph/polynomial.ts";
import { type Dims, symbol, type Symbols } from "../../graph/dim.ts";
import { type Graph, type Value, valuesOf } from "../../graph/value.ts";
import { verifyGraph } from "../../graph/verify.ts";
import { opRules } from "../../ops/builder.ts";
import { FrugalError } from "../../tensor/error.ts";
import { planMemory } from "../../transforms/plan-memory.ts";
import type { LoadedModel, LoadOptions, MemoryReport, Outputs, Weights } from "../backend.ts";
import { type CacheTable, cacheTables } from "../cache.ts";
import type { Core } from "./core.ts";
import { coreFormat, coreLayers, pageCalls } from "./cache.ts";
import { coarseWeights, lower, matrixWeights } from "./lower.ts";
import type { WeightTable } from "./lowering.ts";
import { count, type Program, runProgram, unknownProgram } from "./run.ts";
import { loadingWeights } from "./weights.ts";
import { expectSlot, slotWeights } from "../slots.ts";
import { expectLength, expectUpdated } from "../weights.ts";
import { encodeProgram, type Operand } from "./words.ts";

/**
 * The core's threads pack weights while programs are made and whoever waits for the model does the rest: packing begins as soon as it is
 * known which weights are matrices.
 */
export async function loadCore(
  core: Core,
  graphs: Readonly<Record<string, Graph>>,
  weights: Weights,
  options: LoadOptions,
): Promise<LoadedModel> {
  const failed = new AbortController();
  const signal = options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal]);
  let filled: Promise<void> | undefined;
  try {
    signal.throwIfAborted();
    for (const graph of Object.values(graphs)) verifyGraph(graph, opRules);
    const orders = Object.values(graphs).map((graph) => valuesOf(graph));
    const updated = new Map(Object.values(graphs).flatMap(({ updates }) => [...(updates ?? [])]));
    const names = new Set(updated.keys());
    const isFew = (size: Polynomial): boolean => evaluatePolynomial(size, options.caps) <= mostAtOnce;
    const loading = loadingWeights(core, weights, isFew);
    filled = loading.start(
      orders.flatMap((order) => matrixWeights(order, names)),
      orders.flatMap(coarseWeights),
      signal,
      options.onProgress,
    );
    const compiled = compile(core, graphs, loading, options);
    const accesses = [...updated].map(([name, { shape }]) => [name, access(core, loading, name, shape)] as const);
    const slots = slotPrograms(core, loading, slotWeights(Object.values(graphs)));
    allocate(core, compiled, options);
    await loading.addVectors(signal);
    await filled;
    const [weightBytes, cacheBytes] = core.memory();
    const memory = { ...compiled.memory, weights: weightBytes, cache: cacheBytes };
    checkMemory(core, memory);
    return loadedModel(core, compiled, new Map(accesses), slots, options.caps, memory);
  } catch (error) {
    failed.abort();
    await filled?.catch(() => undefined);
    await core.dispose();
    throw error;
  }
}

/** Gives the core its programs and the memory they run in. */
function compile(core: Core, graphs: Readonly<Record<string, Graph>>, weights: WeightTable, options: LoadOptions): Compiled {
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
    const index = core.addProgram(words);
    if (index < 0) throw new FrugalError("FRUGAL_INTERNAL", `${core.name}: the core refuses program "${name}"`);
    programs.set(name, { index, lowered: program });
  });
  return {
    programs,
    tables: cacheTables(core.name, Object.values(graphs), options.cachePages),
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
function allocate(core: Core, { tables, scratch, memory: { arena } }: Compiled, options: LoadOptions): void {
  if (core.allocate(arena, scratch, coreFormat(options.cacheFormat), coreLayers(tables))) return;
  const pages = tables.map((table) => table.pages).join(" + ") || 0;
  throw new FrugalError(
    "FRUGAL_OUT_OF_MEMORY",
    `${core.name}: no memory for an arena of ${arena} bytes and ${pages} pages of cache; ask for a shorter context`,
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

function access(core: Core, weights: WeightTable, name: string, shape: Dims): Access {
  const weight: Operand = {
    place: { space: "vector", index: weights.vector({ op: "weight", inputs: [], attributes: { name }, shape, type: "f32" }) },
    shape,
  };
  const outside = (space: "input" | "output"): Operand => ({ place: { space, index: 0 }, shape });
  const program = (operands: readonly Operand[]): number => core.addProgram(encodeProgram([{ kernel: "copy", operands }], () => 0));
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

function slotPrograms(core: Core, table: WeightTable, weights: ReadonlyMap<string, Value>): SlotPrograms {
  const input = (index: number, shape: Dims): Operand => ({ place: { space: "input", index }, shape });
  const program = (value: Value): number => {
    const weight: Operand = { place: { space: "vector", index: table.vector(value) }, shape: value.shape };
    const step = { kernel: "write_slot", operands: [input(0, [symbol("T")]), input(1, [1]), weight] } as const;
    return core.addProgram(encodeProgram([step], () => 0));
  };
  return { weights, programs: new Map([...weights].map(([name, value]) => [name, program(value)])) };
}

/** Programs hold offsets as 31 bits, in 4-byte elements. */
const largestArena = 2 ** 33;

/** The system promises more than it has: what it could never give is refused now rather than when it is touched. */
function checkMemory(core: Core, { weights, arena, cache }: MemoryReport): void {
  const needed = weights + arena + cache;
  const available = core.availableBytes;
  if (needed <= available && arena < largestArena) return;
  throw new FrugalError(
    "FRUGAL_OUT_OF_MEMORY",
    `${core.name}: needs ${weights} bytes for weights, ${arena} for intermediate results and ${cache} for keys and values, but there are ${available} bytes of memory; ask for a shorter context`,
    { needed, available },
  );
}

function loadedModel(
  core: Core,
  { programs, tables }: Compiled,
  accesses: ReadonlyMap<string, Access>,
  slots: SlotPrograms,
  caps: Symbols,
  memory: LoadedModel["memory"],
): LoadedModel {
  let disposed: Promise<void> | undefined;
  const check = (): void => {
    if (disposed) throw new FrugalError("FRUGAL_DISPOSED", `${core.name}: the model was disposed; load it again`);
  };
  const accessOf = (name: string): Access => {
    check();
    expectUpdated(core.name, name, new Set(accesses.keys()));
    return accesses.get(name)!;
  };
  const none = (): Int32Array => new Int32Array(4);
  return {
    ...pageCalls(core, tables, check),
    async readWeight(name) {
      const { read, length } = accessOf(name);
      const numbers = new Float32Array(length);
      await core.run(read, none(), [], [numbers]);
      return numbers;
    },
    async writeWeight(name, numbers) {
      const { write, length } = accessOf(name);
      expectLength(core.name, name, numbers, length);
      await core.run(write, none(), [numbers], []);
    },
    async writeSlot(slot, numbers) {
      check();
      expectSlot(core.name, slots.weights, slot, numbers);
      await Promise.all(
        [...numbers].map(([name, values]) =>
          core.run(slots.programs.get(name)!, Int32Array.of(values.length, 0, 0, 0), [values, Int32Array.of(slot)], []),
        ),
      );
    },
    async run(call): Promise<Outputs> {
      check();
      const program = programs.get(call.program);
      if (program === undefined) throw unknownProgram(core.name, call.program, programs.keys());
      return runProgram(core, program, call, caps);
    },
    get memory() {
      return disposed ? { weights: 0, arena: 0, cache: 0, arenaFormula: "0" } : memory;
    },
    dispose() {
      disposed ??= core.dispose();
      return disposed;
    },
  };
}
