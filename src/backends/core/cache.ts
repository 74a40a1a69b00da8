/** The cache as the core takes it, and what can be done with its pages beside runs. */
import { FrugalError } from "../../tensor/error.ts";
import type { CacheFormat, LoadedModel } from "../backend.ts";
import { type CacheTable, expectBytes, expectPages, expectTargets } from "../cache.ts";
import type { Core } from "./core.ts";

/** By the numbers of `Cache::Format` in native/runtime/step.h. */
const formats: readonly CacheFormat[] = ["F32", "F16", "Q8_0", "Q4_0"];

/** The core's number of a format. Throws FRUGAL_UNSUPPORTED where it has none. */
export function coreFormat(format: CacheFormat = "F16"): number {
  const at = formats.indexOf(format);
  if (at < 0) throw new FrugalError("FRUGAL_UNSUPPORTED", `core: no cache in ${format}; take ${formats.join(", ")}`, { format });
  return at;
}

/** Heads, key size, value size and pages of each layer; a layer in between that keeps nothing has no heads. */
export function coreLayers(tables: readonly CacheTable[]): Int32Array {
  const uses = new Map(tables.flatMap(({ layers, pages }) => layers.map((use) => [use.index, { ...use, pages }] as const)));
  const last = Math.max(-1, ...uses.keys());
  return Int32Array.from(
    Array.from({ length: last + 1 }, (_, i) => uses.get(i)).flatMap((use) =>
      use === undefined ? [0, 0, 0, 0] : [use.heads, use.keySize, use.valueSize, use.pages],
    ),
  );
}

/** `check` throws where the model is gone. */
export function pageCalls(
  core: Core,
  tables: readonly CacheTable[],
  check: () => void,
): Pick<LoadedModel, "copyPages" | "readPages" | "writePages"> {
  const layersOf = new Map(tables.map(({ name, layers }) => [name, Int32Array.from(layers, ({ index }) => index)]));
  const perPage = new Map([...layersOf].map(([name, layers]) => [name, core.pageBytes(layers)]));
  const place = (name: string, pages: Int32Array): { readonly layers: Int32Array; readonly bytes: number } => {
    expectPages(core.name, tables, name, pages);
    return { layers: layersOf.get(name)!, bytes: perPage.get(name)! * pages.length };
  };
  const done = (ok: boolean): void => {
    if (!ok) throw new FrugalError("FRUGAL_INTERNAL", `${core.name}: the core refuses pages that were checked; report this`);
  };
  return {
    async copyPages(name, from, to) {
      check();
      const { layers } = place(name, from);
      place(name, to);
      expectTargets(core.name, to, from);
      done(await core.copyPages(layers, from, to));
    },
    async readPages(name, pages) {
      check();
      const { layers, bytes } = place(name, pages);
      const held = new Uint8Array(bytes);
      done(await core.readPages(layers, pages, held));
      return held;
    },
    async writePages(name, pages, bytes) {
      check();
      const { layers, bytes: wanted } = place(name, pages);
      expectBytes(core.name, bytes, wanted);
      done(await core.writePages(layers, pages, bytes));
    },
  };
}
