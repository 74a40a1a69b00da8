/** The reference backend: plain TypeScript, one op after the other, everything in f32. Slow and obvious; runs anywhere. */
import { evaluatePolynomial, type Polynomial, printPolynomial, upperBound } from "../../graph/polynomial.ts";
import type { Value } from "../../graph/value.ts";
import { verifyGraph } from "../../graph/verify.ts";
import { allOps, opRules } from "../../ops/builder.ts";
import { type CacheState, type CacheUse, pageSize } from "../../ops/cache.ts";
import { FrugalError, nearest } from "../../tensor/error.ts";
import type { Backend, Call, LoadedModel, MemoryReport, Outputs } from "../backend.ts";
import { compile, expectSymbols, type Memory, type Program, runProgram } from "./program.ts";
import { allocate, decodeWeights, expectLength, expectUpdated } from "../weights.ts";

/**
 * Decodes all weights to f32 at load and keeps keys and values in f32, whatever `cacheFormat` says.
 * The event loop gets a turn between ops where a run is longer than 5 ms; an abort is noticed there.
 */
export function createReferenceBackend(): Backend {
  return {
    name: "reference",
    description: "reference: plain TypeScript, one thread, f32",
    async load(graphs, weights, { caps, cachePages = 0, signal, onProgress }) {
      for (const graph of Object.values(graphs)) verifyGraph(graph, opRules);
      const programs = new Map(Object.entries(graphs).map(([name, graph]) => [name, compile(name, graph)]));
      const values = new Set([...programs.values()].flatMap(({ order }) => order));
      const decoded = await decodeWeights([...values].filter(({ op }) => op === "weight").concat(updatedOnly(programs.values())), weights, {
        signal,
        onProgress,
      });
      const uses = [...values].flatMap(cacheUses);
      if (uses.length > 0 && cachePages < 1)
        throw new FrugalError(
          "FRUGAL_BAD_ARGUMENT",
          `reference: the graph keeps keys and values, but cachePages is ${cachePages}; give the pages it may use`,
        );
      const cache = createCache(uses, cachePages);
      const formula = [...programs.values()].reduce<Polynomial>((bound, { arena }) => upperBound(bound, arena), new Map());
      const arena = allocate("arena", evaluatePolynomial(formula, caps)).buffer as ArrayBuffer;
      const report: MemoryReport = {
        weights: [...decoded.values()].reduce((sum, { byteLength }) => sum + byteLength, 0),
        arena: arena.byteLength,
        cache: cache.bytes,
        arenaFormula: printPolynomial(new Map([...formula].map(([m, v]) => [m, 4 * v]))),
      };
      return loaded(programs, { weights: decoded, arena, cache: cache.state }, report, (call) =>
        expectSymbols(call.program, call.symbols, caps),
      );
    },
  };
}

function loaded(programs: ReadonlyMap<string, Program>, memory: Memory, report: MemoryReport, check: (call: Call) => void): LoadedModel {
  // Dropping the reference is what gives the memory back.
  let kept: { readonly memory: Memory; readonly report: MemoryReport } | undefined = { memory, report };
  let disposing = false;
  let queue: Promise<unknown> = Promise.resolve();
  const enqueue = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work);
    queue = result.catch(() => {});
    return result;
  };
  const expectLoaded = (): void => {
    if (disposing) throw new FrugalError("FRUGAL_DISPOSED", "reference: the model was disposed; load it again");
  };
  const updated = new Set([...programs.values()].flatMap(({ updates }) => [...updates.keys()]));
  const numbersOf = (name: string): Float32Array => {
    expectUpdated("reference", name, updated);
    return kept!.memory.weights.get(name)!;
  };
  return {
    async readWeight(name) {
      expectLoaded();
      return enqueue(async () => numbersOf(name).slice());
    },
    async writeWeight(name, numbers) {
      expectLoaded();
      return enqueue(async () => {
        const held = numbersOf(name);
        expectLength("reference", name, numbers, held.length);
        held.set(numbers);
      });
    },
    async run(call): Promise<Outputs> {
      expectLoaded();
      const program = programs.get(call.program);
      if (program === undefined) throw unknownProgram(call.program, programs.keys());
      check(call);
      return enqueue(() => runProgram(program, call, kept!.memory));
    },
    get memory() {
      return kept?.report ?? { weights: 0, arena: 0, cache: 0, arenaFormula: "0" };
    },
    async dispose() {
      disposing = true;
      await enqueue(async () => (kept = undefined));
    },
  };
}

/** Weights that are written and never read have no value in the graph. */
function updatedOnly(programs: Iterable<Program>): Value[] {
  return [...programs].flatMap(({ updates }) =>
    [...updates].map(([name, { shape }]): Value => ({ op: "weight", inputs: [], attributes: { name }, shape, type: "f32" })),
  );
}

function unknownProgram(name: string, known: Iterable<string>): FrugalError {
  const names = [...known];
  const near = nearest(name, names);
  return new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `reference: no program "${name}"; ${near === undefined ? `there are ${names.join(", ")}` : `did you mean "${near}"?`}`,
  );
}

function cacheUses(value: Value): CacheUse[] {
  const use = allOps[value.op]?.keeps?.(
    value.inputs.map(({ shape }) => shape),
    value.attributes,
  );
  return use === undefined ? [] : [use];
}

/** The cache of all layers, allocated at once. Programs of one model share layers, which must agree. */
export function createCache(uses: readonly CacheUse[], pages: number): { readonly state: CacheState; readonly bytes: number } {
  const layers = new Map<number, { readonly use: CacheUse; readonly keys: Float32Array; readonly values: Float32Array }>();
  let bytes = 0;
  for (const use of uses) {
    const known = layers.get(use.index)?.use;
    if (known === undefined) {
      const rows = pages * pageSize * use.heads;
      const layer = { use, keys: allocate("cache", rows * use.keySize), values: allocate("cache", rows * use.valueSize) };
      layers.set(use.index, layer);
      bytes += layer.keys.byteLength + layer.values.byteLength;
    } else if (known.heads !== use.heads || known.keySize !== use.keySize || known.valueSize !== use.valueSize)
      throw new FrugalError(
        "FRUGAL_SHAPE",
        `cache: layer ${use.index} is used with ${known.heads} heads of ${known.keySize}+${known.valueSize} and with ${use.heads} of ${use.keySize}+${use.valueSize}`,
      );
  }
  return { state: { pages, layer: (index) => layers.get(index)! }, bytes };
}
