/** Finds the stored tensors that fill a graph's weights: checks every shape, and that no tensor is left over. */
import type { RowRange, Weight, Weights } from "../backends/backend.ts";
import { inOrder, sourceName, type Graph } from "../graph/value.ts";
import { FrugalError, nearest } from "../tensor/error.ts";
import type { Checkpoint } from "./family.ts";
import { type Shape, size } from "../tensor/shape.ts";
import type { StoredTensor } from "../tensor/stored.ts";

export interface TensorFinder {
  has(name: string): boolean;
  /** The tensor, which counts as used from now on; throws FRUGAL_NOT_FOUND naming the nearest one there is. `shape` is what it should have. */
  tensor(name: string, shape: Shape): StoredTensor;
  /** An error about a tensor. */
  wrong(tensor: StoredTensor, problem: string): FrugalError;
}

/** Makes a tensor that a checkpoint without any does not have: of a model that is yet to be trained. */
export type TensorMaker = (name: string, shape: Shape) => StoredTensor;

/** A weight that is wanted: `#` in a tensor's name stands for its layer. */
export interface Wanted {
  readonly name: string;
  readonly layer: string;
  readonly shape: Shape;
}

/** Where a weight is: a tensor's name, with `#` for the layer, used as it is stored; or how to make it (weight-places.ts). */
export type Place = string | MadePlace;
export interface MadePlace {
  (finder: TensorFinder, wanted: Wanted): Weight;
  /** Where it lies in its tensor, for those who read and write adapters and merged files; absent where it is not one tensor's. */
  readonly at?: StoredAt;
  /** Other places, of which the first counts whose sign is a tensor that the file has. */
  readonly choices?: readonly (readonly [sign: string, place: MadePlace])[];
}

/** How a weight lies in a checkpoint's tensor. */
export interface StoredAt {
  /** With `#` for the layer. */
  readonly tensor: string;
  /** The row of the tensor (the column, where it is transposed) that holds row `row` of a weight with `count` rows. */
  row(row: number, count: number): number;
  /** Stored as [inputs, outputs]. */
  readonly transposed?: boolean;
  /** The weight is what is stored and so much more. */
  readonly offset?: number;
}

/** Where a place is, if it is in one tensor; `has` says which tensors the file has, with `#` for the layer. */
export function storedAt(place: Place, has: (tensor: string) => boolean = () => false): StoredAt | undefined {
  if (typeof place === "string") return { tensor: place, row: (row) => row };
  if (place.choices === undefined) return place.at;
  return storedAt((place.choices.find(([sign]) => has(sign)) ?? place.choices.at(-1)!)[1], has);
}

/** By the weight's name in the graph, with `#` for the layer: "layers.#.mlp.up". */
export type Places = Readonly<Record<string, Place>>;

export interface Search {
  /** The checkpoint's name, for messages. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly make?: TensorMaker | undefined;
  readonly places: Places;
  /** Start of tensor names that checkpoints saved without their head lack: "model.". */
  readonly basePrefix?: string | undefined;
  /** Tensors that change no result. */
  readonly ignorable?: readonly RegExp[] | undefined;
}

/** The search in a checkpoint, by the places of its kind of file. */
export const searchIn = (of: {
  readonly checkpoint: Checkpoint;
  readonly huggingface: Places;
  readonly gguf?: Places;
  readonly basePrefix?: string | undefined;
  readonly ignorable?: readonly RegExp[] | undefined;
}): Search => ({
  name: of.checkpoint.name,
  tensors: of.checkpoint.tensors,
  make: of.checkpoint.kind === "huggingface" ? of.checkpoint.make : undefined,
  places: of.checkpoint.kind === "gguf" ? (of.gguf ?? {}) : of.huggingface,
  basePrefix: of.basePrefix,
  ignorable: of.ignorable,
});

/** The weights of the graphs. Throws FRUGAL_NOT_FOUND for a missing tensor, FRUGAL_BAD_CONFIG for a wrong shape, FRUGAL_UNSUPPORTED for one left over. */
export function findWeights(graphs: Iterable<Graph>, search: Search): Weights {
  const { finder, unused } = tensorFinder(search);
  const weights = new Map<string, Weight>();
  for (const graph of graphs)
    for (const value of inOrder(graph.outputs.values())) {
      if (value.op !== "weight" || weights.has(sourceName(value))) continue;
      weights.set(sourceName(value), findWeight(finder, search.places, sourceName(value), value.shape as Shape));
    }
  const left = unused().find((name) => !(search.ignorable ?? []).some((pattern) => pattern.test(name)));
  if (left !== undefined)
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${search.name}: tensor "${left}" is not one this family and configuration use; it may change results, so it is not ignored`,
      { file: search.name, tensor: left },
    );
  return weights;
}

function findWeight(finder: TensorFinder, places: Places, name: string, shape: Shape): Weight {
  const layer = /\.(\d+)\./.exec(name)?.[1] ?? "";
  const place = places[layer === "" ? name : name.replace(`.${layer}.`, ".#.")];
  if (place === undefined)
    throw new FrugalError("FRUGAL_INTERNAL", `weights: the family does not say where weight "${name}" is`, { weight: name });
  return typeof place === "string" ? whole(finder, place.replace("#", layer), shape) : place(finder, { name, layer, shape });
}

/** A tensor used as it is stored. */
export function whole(finder: TensorFinder, name: string, shape: Shape): Weight {
  const tensor = finder.tensor(name, shape);
  if (tensor.shape.join() !== shape.join())
    throw finder.wrong(tensor, `the configuration asks for [${shape.join(", ")}]; config and weights do not belong together`);
  return { shape, content: { rows: [allRows(tensor)] } };
}

/** Every row of a tensor; a vector is one row. */
export const allRows = (tensor: StoredTensor): RowRange => ({ tensor, first: 0, count: rowCount(tensor) });
export const rowCount = (tensor: StoredTensor): number => size(tensor.shape.slice(0, -1));

function tensorFinder({ name: file, tensors, make, basePrefix = "" }: Search): { finder: TensorFinder; unused: () => string[] } {
  const used = new Set<string>();
  const lookUp = (name: string): string | undefined => {
    if (tensors.has(name)) return name;
    const short = basePrefix !== "" && name.startsWith(basePrefix) ? name.slice(basePrefix.length) : undefined;
    return short !== undefined && tensors.has(short) ? short : undefined;
  };
  const finder: TensorFinder = {
    has: (name) => lookUp(name) !== undefined,
    tensor(name, shape) {
      const found = lookUp(name);
      if (found !== undefined) {
        used.add(found);
        return tensors.get(found)!;
      }
      if (make !== undefined) return make(name, shape);
      const near = nearest(
        name,
        [...tensors.keys()].filter((other) => !used.has(other)),
      );
      throw new FrugalError(
        "FRUGAL_NOT_FOUND",
        `${file}: has no tensor "${name}"${near === undefined ? "" : `; the nearest is "${near}"`}; the file is incomplete or of another family`,
        {
          file,
          tensor: name,
        },
      );
    },
    wrong: (tensor, problem) =>
      new FrugalError("FRUGAL_BAD_CONFIG", `${file}: tensor "${tensor.name}" is [${tensor.shape.join(", ")}], but ${problem}`, {
        file,
        tensor: tensor.name,
      }),
  };
  return { finder, unused: () => [...tensors.keys()].filter((name) => !used.has(name)) };
}

/** Numbers a model learned: what weights hold, tables computed from the configuration aside. */
export const countParameters = (weights: Weights): number =>
  [...weights].reduce((sum, [name, weight]) => sum + (name.startsWith("rope.") ? 0 : size(weight.shape)), 0);
