/**
 * Adapters in slots: one graph in which each row takes the low-rank matrices of its own adapter (ops/add-low-rank.ts), so that texts of
 * many adapters share a step. Punica (Chen et al. 2023, arXiv 2310.18547), S-LoRA (Sheng et al. 2023, arXiv 2311.03285). The scale is
 * multiplied into B. Only adapters that add low-rank products alone fit; others change the base, which all rows share.
 */
import type { Weight } from "../../backends/backend.ts";
import { symbol } from "../../graph/dim.ts";
import type { Graph } from "../../graph/value.ts";
import type { Checkpoint, Model } from "../../models/family.ts";
import type { SlotNumbers } from "../../serving/adapter-slots.ts";
import type { AdapterRoom, AdapterSlotOptions } from "../../serving/load-parts.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions, wholeNumber } from "../../tensor/options.ts";
import { type Shape, size } from "../../tensor/shape.ts";
import type { Adapter } from "./adapter.ts";
import { linearChanges } from "./adapted-model.ts";
import { nameOf, openAdapter } from "./open-adapter.ts";
import { chooseLinears, type Linear, rewriteLinears } from "./targets.ts";

/**
 * Slots for a model's text-writing graph. Throws FRUGAL_BAD_ARGUMENT for wrong options. Reading an adapter rejects with FRUGAL_UNSUPPORTED
 * for kinds that are more than low-rank products, FRUGAL_BAD_ARGUMENT for a rank above the slots', a linear without slots or another base,
 * and as `openAdapter` does.
 */
export function adapterRoom(checkpoint: Checkpoint, model: Model, options: AdapterSlotOptions): AdapterRoom {
  checkOptions("load: adapterSlots", options, ["count", "rank", "targets"]);
  const { count, rank, targets = "all-linear" } = options;
  wholeNumber("load: adapterSlots", "count", count ?? NaN, 1, 4096);
  wholeNumber("load: adapterSlots", "rank", rank ?? NaN, 1, 4096);
  const linears = chooseLinears(model.graphs()["generate"]!, targets, "load: adapterSlots");
  const shapes = new Map(linears.flatMap((linear) => shapesOf(linear, count, rank)));
  return {
    graph: (graph) => withSlots(graph, linears, count, rank),
    weights: new Map([...shapes].map(([name, shape]) => [name, empty(shape)])),
    count,
    bytes: [...shapes.values()].reduce((sum, shape) => sum + 4 * size(shape), 0),
    async read(source, signal) {
      const path = nameOf(source);
      const adapter = await openAdapter(source, checkpoint, model, { signal });
      expectPlain(path, adapter);
      return inSlot(path, model, adapter, linears, rank);
    },
  };
}

const namesOf = (linear: string): { readonly a: string; readonly b: string; readonly ranks: string } => ({
  a: `${linear}.slotA`,
  b: `${linear}.slotB`,
  ranks: `${linear}.slotRanks`,
});

function shapesOf({ name, inputs, outputs }: Linear, count: number, rank: number): [string, Shape][] {
  const { a, b, ranks } = namesOf(name);
  return [
    [a, [count, inputs, rank]],
    [b, [count, rank, outputs]],
    [ranks, [count]],
  ];
}

const empty = (shape: Shape): Weight => ({ shape, content: { values: async () => new Float32Array(size(shape)) } });

function withSlots(graph: Graph, linears: readonly Linear[], count: number, rank: number): Graph {
  const names = linears.map(({ name }) => name);
  return rewriteLinears(graph, names, (build, { name, x, y, inputs, outputs }) => {
    const { a, b, ranks } = namesOf(name);
    const slots = build.input("adapters", { shape: [symbol("T")], type: "i32" });
    const down = build.weight(a, [count, inputs, rank]);
    return build.addLowRank(y, x, down, build.weight(b, [count, rank, outputs]), build.weight(ranks, [count]), slots);
  });
}

/** Throws FRUGAL_UNSUPPORTED for what changes more than a slot holds. */
function expectPlain(path: string, { config, replaced, further }: Adapter): void {
  const [whole] = [...replaced.keys(), ...further.keys()];
  const kind = config.type === "LORA" && config.dora === true ? "DoRA" : config.type;
  const problem = kind !== "LORA" ? `is of kind ${kind}` : whole !== undefined ? `holds all of ${whole}` : undefined;
  if (problem === undefined) return;
  throw new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `${path}: ${problem}, but slots hold LoRA alone, which other texts can be written beside; load the model with it (adapter), or merge it`,
    { kind },
  );
}

async function inSlot(path: string, model: Model, adapter: Adapter, linears: readonly Linear[], most: number): Promise<SlotNumbers> {
  const changes = await linearChanges(model, adapter);
  const known = new Set(linears.map(({ name }) => name));
  const other = [...changes.keys()].find((name) => !known.has(name));
  if (other !== undefined)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${path}: changes ${other}, for which there are no slots; name it in adapterSlots.targets`,
      {
        linear: other,
      },
    );
  const numbers = new Map<string, Float32Array>();
  let rank = 0;
  for (const { name } of linears) {
    const change = changes.get(name)?.lowRank;
    const own = change?.a.shape[0] ?? 0;
    if (own > most)
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `${path}: has rank ${own} at ${name}, but slots hold at most ${most}; load with adapterSlots.rank ${own}, or load the model with it`,
        { rank: own, most },
      );
    rank = Math.max(rank, own);
    const { a, b, ranks } = namesOf(name);
    numbers.set(ranks, Float32Array.of(own));
    if (change === undefined) continue;
    numbers.set(a, transposed(change.a.values, own));
    numbers.set(b, transposed(change.b.values, change.b.shape[0]!));
  }
  const bytes = [...numbers.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  return { rank, contentHash: await hashOf(numbers), bytes, numbers };
}

function transposed(values: Float32Array, rows: number): Float32Array<ArrayBuffer> {
  const columns = values.length / rows;
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column]!;
  return turned;
}

/** Of names and numbers; the scale is in B, and what else a configuration says changes nothing any more. */
async function hashOf(numbers: ReadonlyMap<string, Float32Array>): Promise<string> {
  const digest = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> =>
    new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const text = new TextEncoder();
  const all: number[] = [];
  for (const [name, { buffer, byteOffset, byteLength }] of numbers)
    all.push(...text.encode(`${name}\n`), ...(await digest(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength))));
  return [...(await digest(Uint8Array.from(all)))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
