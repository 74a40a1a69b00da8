/** reshape — the same numbers in the same order under another shape. Moves nothing where buffers can be shared. */
import { type Dims, printDims } from "../graph/dim.ts";
import { elements, type Polynomial } from "../graph/polynomial.ts";
import { type Op, ShapeError } from "./op.ts";

export const reshape: Op<1, { readonly shape: Dims }> = {
  name: "reshape",
  arity: 1,
  attributes: { shape: "dims" },
  anyType: true,
  sharesInput: true,
  shape([x], { shape }) {
    if (!same(elements(x), elements(shape)))
      throw new ShapeError(`reshape: ${printDims(x)} and ${printDims(shape)} do not hold equally many elements`);
    return shape;
  },
  gradient: ({ b, x: [x], dy }) => [b.reshape(dy, { shape: x.shape })],
  cost: () => ({ flops: 0, bytesMoved: 0 }),
  reference([x], y) {
    y.data.set(x.data);
  },
  samples: [
    { shapes: [[2, 3]], attributes: { shape: [3, 2] } },
    { shapes: [[4, 3, 5]], attributes: { shape: [60] } },
    { shapes: [[15, 2]], attributes: { shape: [1, 3, 10] } },
    { shapes: [[2, 3]], attributes: { shape: [1, 6] } },
  ],
};

const same = (a: Polynomial, b: Polynomial): boolean =>
  [...new Set([...a.keys(), ...b.keys()])].every((m) => (a.get(m) ?? 0) === (b.get(m) ?? 0));
