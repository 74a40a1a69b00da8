/**
 * linearCrossEntropy — crossEntropy(matmul(x, table), targets) whose logits are never all there at once: a kernel makes them a few rows at
 * a time (Wijmans et al. 2024, arXiv 2411.09009). Rows whose target is negative lose nothing.
 */
import { costOf } from "./cost.ts";
import { idAt } from "./ids.ts";
import { largest } from "./lines.ts";
import type { Op, Tensor } from "./op.ts";
import { expectDim, expectDims, expectRank } from "./shapes.ts";
import type { Dims } from "../graph/dim.ts";
import type { Shape } from "../tensor/shape.ts";

function expectOperands(op: string, x: Dims, table: Dims, targets: Dims): void {
  expectRank(op, "x", x, 2);
  expectRank(op, "table", table, 2);
  expectDim(op, "the last size of table", table[1]!, x[1]!);
  expectDims(op, "targets", targets, [x[0]!]);
}

/** Calls `row` with each row that has a target, its logits, and the peak and the sum of exp(logit − peak). */
function eachRow(
  op: string,
  [x, table, targets]: readonly [Tensor, Tensor, Tensor, ...Tensor[]],
  row: (t: number, target: number, logits: Float64Array, peak: number, sum: number) => void,
): void {
  const [count, width] = [table.shape[0]!, table.shape[1]!];
  const logits = new Float64Array(count);
  for (let t = 0; t < targets.data.length; t++) {
    if (targets.data[t]! < 0) continue;
    const target = idAt(op, targets.data, t, count);
    for (let v = 0; v < count; v++) {
      let sum = 0;
      for (let c = 0; c < width; c++) sum += x.data[t * width + c]! * table.data[v * width + c]!;
      logits[v] = sum;
    }
    const peak = largest(logits);
    row(
      t,
      target,
      logits,
      peak,
      logits.reduce((sum, v) => sum + Math.exp(v - peak), 0),
    );
  }
}

const flops = (x: Shape, table: Shape, products: number): number => (2 * products * x[1]! + 13) * x[0]! * table[0]!;
const domains = (targets: readonly number[]): readonly ["normal", "normal", { readonly exactly: readonly number[] }] => [
  "normal",
  "normal",
  { exactly: targets },
];

export const linearCrossEntropy: Op<3, {}> = {
  name: "linearCrossEntropy",
  arity: 3,
  attributes: {},
  inputTypes: ["f32", "f32", "i32"],
  shape([x, table, targets]) {
    expectOperands("linearCrossEntropy", x, table, targets);
    return [x[0]!, 1];
  },
  gradient: ({ b, x: [x, table, targets], dy }) => [
    b.linearCrossEntropyGradient(x, table, targets, dy, { of: "x" }),
    b.linearCrossEntropyGradient(x, table, targets, dy, { of: "table" }),
    undefined,
  ],
  decompose: ({ b, x: [x, table, targets] }) => b.crossEntropy(b.matmul(x, table), targets),
  cost: ([x, table, targets]) => costOf(flops(x, table, 1), x, table, targets, [x[0]!, 1]),
  reference(inputs, y) {
    y.data.fill(0);
    eachRow("linearCrossEntropy", inputs, (t, target, logits, peak, sum) => {
      y.data[t] = Math.log(sum) + peak - logits[target]!;
    });
  },
  samples: [
    { shapes: [[3, 4], [5, 4], [3]], attributes: {}, domains: domains([4, 0, 2]) },
    { shapes: [[4, 33], [37, 33], [4]], attributes: {}, domains: domains([32, -1, 0, 36]) },
    { shapes: [[1, 1], [1, 1], [1]], attributes: {}, domains: domains([0]) },
  ],
};

/** The gradient of linearCrossEntropy for its rows or for its table: (softmax − target) · dy, times the other of the two. */
export const linearCrossEntropyGradient: Op<4, { readonly of: "x" | "table" }> = {
  name: "linearCrossEntropyGradient",
  arity: 4,
  attributes: { of: ["x", "table"] },
  inputTypes: ["f32", "f32", "i32", "f32"],
  shape([x, table, targets, dy], { of }) {
    expectOperands("linearCrossEntropyGradient", x, table, targets);
    expectDims("linearCrossEntropyGradient", "dy", dy, [x[0]!, 1]);
    return of === "x" ? x : table;
  },
  gradient: "unsupported",
  decompose({ b, x: [x, table, targets, dy], attributes: { of } }) {
    const logits = b.matmul(x, table);
    const hot = b.oneHot(targets, { count: table.shape[0]! as number });
    const errors = b.mul(b.sub(b.softmax(logits), hot), b.mul(dy, b.sum(hot, { axis: 1 })));
    return of === "x" ? b.matmul(errors, b.transpose(table)) : b.matmul(b.transpose(errors), b.transpose(x));
  },
  cost: ([x, table, targets, dy]) => costOf(flops(x, table, 2), x, table, targets, dy, x),
  reference(inputs, y, { of }) {
    const [x, table, , dy] = inputs;
    const width = x.shape[1]!;
    y.data.fill(0);
    eachRow("linearCrossEntropyGradient", inputs, (t, target, logits, peak, sum) => {
      for (let v = 0; v < logits.length; v++) {
        const error = (Math.exp(logits[v]! - peak) / sum - (v === target ? 1 : 0)) * dy.data[t]!;
        const [from, at, to] = of === "x" ? [table, v, t] : [x, t, v];
        for (let c = 0; c < width; c++) y.data[to * width + c]! += error * from.data[at * width + c]!;
      }
    });
  },
  samples: (["x", "table"] as const).flatMap((of) => [
    { shapes: [[3, 4], [5, 4], [3], [3, 1]], attributes: { of }, domains: [...domains([4, 0, 2]), "normal" as const] },
    { shapes: [[4, 33], [37, 33], [4], [4, 1]], attributes: { of }, domains: [...domains([32, -1, 0, 36]), "normal" as const] },
    {
      shapes: [[21, 16], [50, 16], [21], [21, 1]],
      attributes: { of },
      domains: [...domains(Array.from({ length: 21 }, (_, i) => (i * 7) % 50)), "normal" as const],
    },
  ]),
};
