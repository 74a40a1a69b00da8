/** Ways in which checkpoints store weights other than one tensor each: fused, interleaved by head, transposed, shifted, one file tensor an expert. */
import type { Weight } from "../backends/backend.ts";
import { type Shape, size } from "../tensor/shape.ts";
import { decodeTensor, type StoredTensor } from "../tensor/stored.ts";
import { allRows, rowCount, type MadePlace, type StoredAt, type TensorFinder, type Wanted, whole } from "./weights-finder.ts";

const located = (at: StoredAt, place: (finder: TensorFinder, wanted: Wanted) => Weight): MadePlace => Object.assign(place, { at });

/** Rows of a larger tensor: the weight's rows start after `before`, and the whole has `total` rows. Elements, where it is a vector. */
export const part = (name: string, before: number, total: number): MadePlace =>
  located({ tensor: name, row: (row) => before + row }, (finder, wanted) => {
    const tensor = tensorOf(finder, name.replace("#", wanted.layer), [total, ...wanted.shape.slice(1)]);
    const vector = wanted.shape.length === 1;
    const count = wanted.shape[0]!;
    if (vector) return computed(wanted, async () => (await decodeTensor(tensor)).slice(before, before + count));
    return { shape: wanted.shape, content: { rows: [{ tensor, first: before, count }] } };
  });

/** Query, key or value (`index` 0, 1, 2) of a tensor that holds them head by head: q of head 0, k of head 0, v of head 0, q of head 1, ... */
export const byHead = (name: string, heads: number, index: 0 | 1 | 2): MadePlace =>
  located({ tensor: name, row: (row, count) => rowByHead(row, count / heads, index) }, (finder, wanted) => {
    const tensor = tensorOf(finder, name.replace("#", wanted.layer), [wanted.shape[0]! * 3, ...wanted.shape.slice(1)]);
    const headSize = wanted.shape[0]! / heads;
    const starts = Array.from({ length: heads }, (_, h) => (3 * h + index) * headSize);
    if (wanted.shape.length > 1)
      return { shape: wanted.shape, content: { rows: starts.map((first) => ({ tensor, first, count: headSize })) } };
    return computed(wanted, async () => {
      const all = await decodeTensor(tensor);
      return Float32Array.from({ length: wanted.shape[0]! }, (_, i) => all[rowByHead(i, headSize, index)]!);
    });
  });

const rowByHead = (row: number, headSize: number, index: number): number =>
  (3 * Math.floor(row / headSize) + index) * headSize + (row % headSize);

/** Columns of a matrix stored as [inputs, outputs], from column `before` of `total`. */
export const transposed = (name: string, before = 0, total?: number): MadePlace =>
  located({ tensor: name, row: (row) => before + row, transposed: true }, (finder, wanted) => {
    const [outputs, inputs] = wanted.shape as [number, number];
    const columns = total ?? outputs;
    const tensor = tensorOf(finder, name.replace("#", wanted.layer), [inputs, columns]);
    return computed(wanted, async () => {
      const all = await decodeTensor(tensor);
      const values = new Float32Array(outputs * inputs);
      for (let i = 0; i < inputs; i++) for (let o = 0; o < outputs; o++) values[o * inputs + i] = all[i * columns + before + o]!;
      return values;
    });
  });

/** A norm's weight stored as its difference from 1. */
export const plusOne = (name: string): MadePlace =>
  located({ tensor: name, row: (row) => row, offset: 1 }, (finder, wanted) => {
    const tensor = tensorOf(finder, name.replace("#", wanted.layer), wanted.shape);
    return computed(wanted, async () => (await decodeTensor(tensor)).map((v) => v + 1));
  });

/** A matrix for each expert, one tensor each; `@` stands for the expert. */
export const perExpert =
  (name: string): MadePlace =>
  (finder, wanted) => {
    const [count, ...shape] = wanted.shape;
    const rows = Array.from({ length: count! }, (_, e) => {
      return allRows(tensorOf(finder, name.replace("#", wanted.layer).replace("@", String(e)), shape));
    });
    return { shape: wanted.shape, content: { rows } };
  };

/** Half of each expert's rows, where one tensor [experts, rows, inputs] holds gates (half 0) and then ups (half 1). */
export const halfOfEach =
  (name: string, half: 0 | 1): MadePlace =>
  (finder, wanted) => {
    const [count, rows, inputs] = wanted.shape as [number, number, number];
    const tensor = tensorOf(finder, name.replace("#", wanted.layer), [count, 2 * rows, inputs]);
    const ranges = Array.from({ length: count }, (_, e) => ({ tensor, first: (2 * e + half) * rows, count: rows }));
    return { shape: wanted.shape, content: { rows: ranges } };
  };

/** A tensor used as it is stored. */
export const stored = (name: string): MadePlace =>
  located({ tensor: name, row: (row) => row }, (finder, wanted) => whole(finder, name.replace("#", wanted.layer), wanted.shape));

/** The first place whose tensor the file has; the last where it has none of them, so that an error names that. */
export const firstOf = (...choices: readonly (readonly [sign: string, place: MadePlace])[]): MadePlace =>
  Object.assign(
    (finder: TensorFinder, wanted: Wanted) => {
      const found = choices.find(([sign]) => finder.has(sign.replace("#", wanted.layer).replace("@", "0")));
      return (found ?? choices.at(-1)!)[1](finder, wanted);
    },
    { choices },
  );

/** A table without its first rows. */
export const afterRows =
  (name: string, first: number): MadePlace =>
  (finder, wanted) => {
    const tensor = tensorOf(finder, name, [wanted.shape[0]! + first, wanted.shape[1]!]);
    return { shape: wanted.shape, content: { rows: [{ tensor, first, count: rowCount(tensor) - first }] } };
  };

/** Frequencies divided by the numbers of a tensor. */
export const divided =
  (frequencies: Float32Array, name: string): MadePlace =>
  (finder, wanted) => {
    const tensor = tensorOf(finder, name, wanted.shape);
    return computed(wanted, async () => (await decodeTensor(tensor)).map((divisor, i) => frequencies[i]! / divisor));
  };

const computed = (wanted: Wanted, values: () => Promise<Float32Array>): Weight => ({ shape: wanted.shape, content: { values } });

function tensorOf(finder: TensorFinder, name: string, shape: Shape): StoredTensor {
  const tensor = finder.tensor(name, shape);
  if (tensor.shape.join() !== shape.join() || size(shape) === 0)
    throw finder.wrong(tensor, `the configuration asks for [${shape.join(", ")}]; config and weights do not belong together`);
  return tensor;
}
