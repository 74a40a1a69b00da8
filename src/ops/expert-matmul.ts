/** expertMatmul — row t·k + j is w[ids[t, j]] · x[t], or · x[t·k + j] where x has a row for each already. */
import { sameDim } from "../graph/dim.ts";
import type { Value } from "../graph/value.ts";
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { chosenRows, flattened, repeated } from "./experts.ts";
import { idAt } from "./ids.ts";
import { type Builder, type Op } from "./op.ts";
import { expectDim, expectRank } from "./shapes.ts";

export const expertMatmul: Op<3, {}> = {
  name: "expertMatmul",
  arity: 3,
  attributes: {},
  inputTypes: ["f32", "f32", "i32"],
  shape([x, w, ids]) {
    expectRank("expertMatmul", "x", x, 2);
    expectRank("expertMatmul", "w", w, 3);
    expectRank("expertMatmul", "ids", ids, 2);
    expectDim("expertMatmul", "the last size of w", w[2]!, x[1]!);
    const rows = chosenRows("expertMatmul", ids);
    if (!sameDim(x[0]!, rows)) expectDim("expertMatmul", "the rows of x", x[0]!, ids[0]!);
    return [rows, w[1]!];
  },
  gradient: ({ b, x: [x, w, ids], dy }) => [gradientOfX(b, x, w, ids, dy), gradientOfW(b, x, w, ids, dy), undefined],
  cost([x, w, ids]) {
    const used = [Math.min(w[0]!, size(ids)), w[1]!, w[2]!];
    return costOf(2 * size(ids) * w[1]! * w[2]!, x, used, ids, [size(ids), w[1]!]);
  },
  reference([x, w, ids], y) {
    const [experts, outputs, inner] = [w.shape[0]!, w.shape[1]!, w.shape[2]!];
    const shared = ids.data.length / x.shape[0]!;
    for (let i = 0; i < ids.data.length; i++) {
      const matrix = idAt("expertMatmul", ids.data, i, experts) * outputs * inner;
      const from = Math.floor(i / shared) * inner;
      for (let n = 0; n < outputs; n++) {
        let sum = 0;
        for (let k = 0; k < inner; k++) sum += x.data[from + k]! * w.data[matrix + n * inner + k]!;
        y.data[i * outputs + n] = sum;
      }
    }
  },
  samples: [
    {
      shapes: [
        [3, 4],
        [5, 2, 4],
        [3, 2],
      ],
      attributes: {},
      domains: ["normal", "normal", { below: 5 }],
    },
    {
      shapes: [
        [6, 4],
        [5, 3, 4],
        [3, 2],
      ],
      attributes: {},
      domains: ["normal", "normal", { below: 5 }],
    },
    {
      shapes: [
        [3, 33],
        [4, 9, 33],
        [3, 1],
      ],
      attributes: {},
      domains: ["normal", "normal", { below: 4 }],
    },
    {
      shapes: [
        [1, 1],
        [1, 1, 1],
        [1, 1],
      ],
      attributes: {},
      domains: ["normal", "normal", { below: 1 }],
    },
  ],
};

function gradientOfX(b: Builder, x: Value, w: Value, ids: Value, dy: Value): Value {
  const each = b.expertMatmul(dy, b.transpose(w), ids);
  if (sameDim(x.shape[0]!, each.shape[0]!)) return each;
  const [rows, width] = [x.shape[0]!, x.shape[1]!];
  const summed = b.sum(b.reshape(each, { shape: [rows, ids.shape[1]!, width] }), { axis: 1 });
  return b.reshape(summed, { shape: x.shape });
}

/** One product for all experts: each row of dy stands in its expert's columns of a wide matrix, zeros in the others. */
function gradientOfW(b: Builder, x: Value, w: Value, ids: Value, dy: Value): Value {
  const [experts, outputs, inner] = w.shape as readonly [number, number, number];
  const rows = dy.shape[0]!;
  const hot = b.reshape(b.oneHot(flattened(b, ids), { count: experts }), { shape: [rows, experts, 1] });
  const columns = b.mul(b.broadcast(hot, { shape: [rows, experts, outputs] }), b.reshape(dy, { shape: [rows, 1, outputs] }));
  const wide = b.reshape(columns, { shape: [rows, experts * outputs] });
  const each = sameDim(x.shape[0]!, rows) ? x : repeated(b, x, ids.shape[1]! as number);
  return b.reshape(b.matmul(b.transpose(wide), b.transpose(each)), { shape: [experts, outputs, inner] });
}
