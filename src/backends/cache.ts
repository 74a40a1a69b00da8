/** What backends must agree on about the cache: which layers a page table places, how many pages it has, and which calls about pages are right. */
import { type Graph, sourceName, valuesOf } from "../graph/value.ts";
import { allOps } from "../ops/builder.ts";
import type { CacheUse } from "../ops/cache.ts";
import { FrugalError, nearest } from "../tensor/error.ts";
import type { CacheFormat, LoadOptions } from "./backend.ts";

/** The storage formats of keys and of values. */
export const cacheStorage: Readonly<Record<CacheFormat, { readonly keys: string; readonly values: string }>> = {
  F32: { keys: "F32", values: "F32" },
  F16: { keys: "F16", values: "F16" },
  Q8_0: { keys: "Q8_0", values: "Q8_0" },
  Q4_0: { keys: "Q8_0", values: "Q4_0" },
};

/** The layers that one page table places; each has as many pages as the table may name. */
export interface CacheTable {
  readonly name: string;
  readonly pages: number;
  readonly layers: readonly CacheUse[];
}

/**
 * The page tables of graphs that share a cache, with their layers in order. Throws FRUGAL_BAD_ARGUMENT where pages are not given, and
 * FRUGAL_SHAPE where graphs disagree about a layer.
 */
export function cacheTables(backend: string, graphs: Iterable<Graph>, cachePages: LoadOptions["cachePages"] = 0): CacheTable[] {
  const uses = [...graphs].flatMap((graph) => cacheUses(graph));
  const layers = new Map<number, TableUse>();
  for (const use of uses) {
    const known = layers.get(use.index);
    if (known !== undefined) expectSame(known, use);
    layers.set(use.index, use);
  }
  const names = [...new Set([...layers.values()].map(({ table }) => table))];
  if (typeof cachePages === "object") for (const name of Object.keys(cachePages)) expectKnown(backend, "cachePages", name, names);
  return names.map((name) => ({
    name,
    pages: pagesOf(backend, name, cachePages),
    layers: [...layers.values()].filter(({ table }) => table === name).sort((a, b) => a.index - b.index),
  }));
}

/** A use of the cache, and the name of the page table that places it. */
export interface TableUse extends CacheUse {
  readonly table: string;
}

/** Every use that a graph makes of the cache. */
export const cacheUses = (graph: Graph): TableUse[] =>
  valuesOf(graph).flatMap(({ op, inputs, attributes }) => {
    const use = allOps[op]?.keeps?.(
      inputs.map(({ shape }) => shape),
      attributes,
    );
    return use === undefined ? [] : [{ ...use, table: sourceName(inputs[use.pageTable]!) }];
  });

function expectSame(a: TableUse, b: TableUse): void {
  const printed = ({ heads, keySize, valueSize }: TableUse): string => `${heads} heads of ${keySize}+${valueSize}`;
  if (printed(a) !== printed(b))
    throw new FrugalError("FRUGAL_SHAPE", `cache: layer ${a.index} is used with ${printed(a)} and with ${printed(b)}`, { layer: a.index });
  if (a.table !== b.table)
    throw new FrugalError("FRUGAL_SHAPE", `cache: layer ${a.index} has its pages from "${a.table}" and from "${b.table}"`, {
      layer: a.index,
    });
}

function pagesOf(backend: string, table: string, cachePages: NonNullable<LoadOptions["cachePages"]>): number {
  const pages = typeof cachePages === "number" ? cachePages : (cachePages[table] ?? 0);
  if (Number.isSafeInteger(pages) && pages >= 1) return pages;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${backend}: the graph keeps keys and values, but cachePages of "${table}" is ${pages}; give the pages it may use`,
    { table, pages },
  );
}

/** The table of that name, all of whose `pages` it has. */
export function expectPages(backend: string, tables: readonly CacheTable[], name: string, pages: Int32Array): CacheTable {
  expectKnown(
    backend,
    "pages",
    name,
    tables.map((table) => table.name),
  );
  const table = tables.find((each) => each.name === name)!;
  const wrong = pages instanceof Int32Array ? pages.find((page) => page < 0 || page >= table.pages) : "not an Int32Array";
  if (wrong === undefined) return table;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${backend}: page ${wrong} of "${name}" is not there; pages go from 0 to ${table.pages - 1}`,
    {
      table: name,
      page: wrong,
      pages: table.pages,
    },
  );
}

/** Pages to copy to: one for each to copy from. */
export function expectTargets(backend: string, to: Int32Array, from: Int32Array): void {
  if (to.length === from.length) return;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${backend}: ${from.length} pages can't be copied to ${to.length}; give one for each`);
}

export function expectBytes(backend: string, bytes: Uint8Array, wanted: number): void {
  if (bytes instanceof Uint8Array && bytes.length === wanted) return;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${backend}: these pages need a Uint8Array of ${wanted} bytes, got ${bytes?.length}`, {
    wanted,
  });
}

function expectKnown(backend: string, what: string, name: string, names: readonly string[]): void {
  if (names.includes(name)) return;
  const near = nearest(name, names);
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${backend}: ${what}: no page table "${name}"; ${near === undefined ? `there are ${names.join(", ") || "none"}` : `did you mean "${near}"?`}`,
    { table: name },
  );
}
