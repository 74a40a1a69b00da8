/** The reference backend: plain TypeScript, one op after the other, everything in f32. Slow and obvious; runs anywhere. */
import { evaluatePolynomial, type Polynomial, printPolynomial, upperBound } from "../../graph/polynomial.ts";
import type { Value } from "../../graph/value.ts";
import { verifyGraph } from "../../graph/verify.ts";
import { opRules } from "../../ops/builder.ts";
import { FrugalError, nearest } from "../../tensor/error.ts";
import type { Backend, Call, LoadedModel, MemoryReport, Outputs } from "../backend.ts";
import { type CacheTable, cacheTables, expectBytes, expectPages, expectTargets } from "../cache.ts";
import { createCache, type ReferenceCache } from "./cache.ts";
import { compile, expectSymbols, type Memory, type Program, runProgram } from "./program.ts";
import { expectSlot, slotWeights } from "../slots.ts";
import { allocate, decodeWeights, expectLength, expectUpdated } from "../weights.ts";

/**
 * Decodes all weights to f32 at load and keeps keys and values in f32, whatever `cacheFormat` says.
 * The event loop gets a turn between ops where a run is longer than 5 ms; an abort is noticed there.
 */
export function createReferenceBackend(): Backend {
  return {
    name: "reference",
    description: "reference: plain TypeScript, one thread, f32",
    async load(graphs, weights, { caps, cachePages, signal, onProgress }) {
      for (const graph of Object.values(graphs)) verifyGraph(graph, opRules);
      const programs = new Map(Object.entries(graphs).map(([name, graph]) => [name, compile(name, graph)]));
      const values = new Set([...programs.values()].flatMap(({ order }) => order));
      const decoded = await decodeWeights([...values].filter(({ op }) => op === "weight").concat(updatedOnly(programs.values())), weights, {
        signal,
        onProgress,
      });
      const tables = cacheTables("reference", Object.values(graphs), cachePages);
      const cache = createCache(tables);
      const formula = [...programs.values()].reduce<Polynomial>((bound, { arena }) => upperBound(bound, arena), new Map());
      const arena = allocate("arena", evaluatePolynomial(formula, caps)).buffer as ArrayBuffer;
      const report: MemoryReport = {
        weights: [...decoded.values()].reduce((sum, { byteLength }) => sum + byteLength, 0),
        arena: arena.byteLength,
        cache: cache.bytes,
        arenaFormula: printPolynomial(new Map([...formula].map(([m, v]) => [m, 4 * v]))),
      };
      return loaded(
        programs,
        { weights: decoded, arena, cache: cache.state },
        { tables, cache, slots: slotWeights(Object.values(graphs)) },
        report,
        (call) => expectSymbols(call.program, call.symbols, caps),
      );
    },
  };
}

interface Kept {
  readonly tables: readonly CacheTable[];
  readonly cache: ReferenceCache;
  readonly slots: ReadonlyMap<string, Value>;
}

function loaded(
  programs: ReadonlyMap<string, Program>,
  memory: Memory,
  { tables, cache, slots }: Kept,
  report: MemoryReport,
  check: (call: Call) => void,
): LoadedModel {
  // Dropping the reference is what gives the memory back.
  let kept: { readonly memory: Memory; readonly cache: ReferenceCache; readonly report: MemoryReport } | undefined = {
    memory,
    cache,
    report,
  };
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
  /** Views of what pages hold: those of the first page first, one after the other. */
  const held = (table: CacheTable, pages: Int32Array): Float32Array[] => [...pages].flatMap((page) => kept!.cache.page(table, page));
  return {
    async copyPages(name, from, to) {
      expectLoaded();
      const table = expectPages("reference", tables, name, from);
      expectPages("reference", tables, name, to);
      expectTargets("reference", to, from);
      const [sources, targets] = [from.slice(), to.slice()];
      return enqueue(async () =>
        targets.forEach((target, i) => {
          const source = kept!.cache.page(table, sources[i]!);
          kept!.cache.page(table, target).forEach((part, j) => part.set(source[j]!));
        }),
      );
    },
    async readPages(name, pages) {
      expectLoaded();
      const table = expectPages("reference", tables, name, pages);
      const wanted = pages.slice();
      return enqueue(async () => {
        const parts = held(table, wanted);
        const numbers = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
        let at = 0;
        for (const part of parts) numbers.set(part, (at += part.length) - part.length);
        return new Uint8Array(numbers.buffer);
      });
    },
    async writePages(name, pages, bytes) {
      expectLoaded();
      const table = expectPages("reference", tables, name, pages);
      const perPage = held(table, Int32Array.of(0)).reduce((sum, part) => sum + part.byteLength, 0);
      expectBytes("reference", bytes, pages.length * perPage);
      const wanted = pages.slice();
      return enqueue(async () => {
        let at = 0;
        for (const part of held(table, wanted)) {
          const to = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
          to.set(bytes.subarray(at, (at += part.byteLength)));
        }
      });
    },
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
    async writeSlot(slot, numbers) {
      expectLoaded();
      expectSlot("reference", slots, slot, numbers);
      return enqueue(async () => {
        for (const [name, values] of numbers) {
          const held = kept!.memory.weights.get(name)!;
          held.set(values, (slot * held.length) / (slots.get(name)!.shape[0] as number));
        }
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
