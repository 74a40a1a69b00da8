/** rmsNormGradient, layerNormGradient — the gradients of norms for their rows (`of` "x") or their weight, each in one pass over the rows. */
import type { Dims } from "../graph/dim.ts";
import type { Value } from "../graph/value.ts";
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import type { Builder, Op } from "./op.ts";
import { expectDims, expectRank, fixed } from "./shapes.ts";
import { sumTo } from "./spread.ts";

const gradientKinds = ["x", "weight"] as const;
type GradientKind = (typeof gradientKinds)[number];

interface RmsAttributes {
  readonly of: GradientKind;
  readonly epsilon: number;
  readonly groups?: number | undefined;
}

function expectOperands(op: string, x: Dims, weight: Dims, dy: Dims): void {
  expectRank(op, "x", x, 2);
  expectRank(op, "weight", weight, 1);
  expectDims(op, "dy", dy, x);
}

export const rmsNormGradient: Op<3, RmsAttributes> = {
  name: "rmsNormGradient",
  arity: 3,
  attributes: { of: gradientKinds, epsilon: "number", groups: "integer?" },
  shape([x, weight, dy], { of }) {
    expectOperands("rmsNormGradient", x, weight, dy);
    return of === "x" ? x : weight;
  },
  gradient: "unsupported",
  /** With n = x · scale: dweight = Σ dy n; dx = (dy w − n · mean(dy w n)) · scale. */
  decompose({ b, x: [x, weight, dy], attributes: { of, epsilon, groups = 1 } }) {
    const part = fixed("rmsNormGradient", "channels", x.shape[1]!) / groups;
    const grouped = (value: Value): Value => b.reshape(value, { shape: [x.shape[0]!, groups, part] });
    const parts = grouped(x);
    const meanSquare = b.scale(b.sum(b.mul(parts, parts), { axis: 2 }), { by: 1 / part, plus: epsilon });
    const normal = b.div(parts, b.sqrt(meanSquare));
    const spread = weight.shape[0] === part ? weight : b.reshape(weight, { shape: [1, groups, part] });
    if (of === "weight") {
      const products = b.mul(grouped(dy), normal);
      return weight.shape[0] === part ? sumTo(b, products, [part]) : b.reshape(b.sum(products, { axis: 0 }), { shape: weight.shape });
    }
    const inner = b.mul(grouped(dy), spread);
    const mean = b.scale(b.sum(b.mul(inner, normal), { axis: 2 }), { by: 1 / part });
    return b.reshape(b.div(b.sub(inner, b.mul(normal, mean)), b.sqrt(meanSquare)), { shape: x.shape });
  },
  cost: ([x, weight, dy]) => costOf(10 * size(x), x, weight, dy, x),
  reference([x, weight, dy], y, { of, epsilon, groups = 1 }) {
    const channels = x.shape[1]!;
    const part = channels / groups;
    if (of === "weight") y.data.fill(0);
    for (let start = 0; start < x.data.length; start += part) {
      const weightAt = (c: number): number => ((start % channels) + c) % weight.data.length;
      let [squares, products] = [0, 0];
      for (let c = 0; c < part; c++) {
        squares += x.data[start + c]! ** 2;
        products += x.data[start + c]! * dy.data[start + c]! * weight.data[weightAt(c)]!;
      }
      const factor = 1 / Math.sqrt(squares / part + epsilon);
      for (let c = 0; c < part; c++) {
        const [v, d] = [x.data[start + c]!, dy.data[start + c]!];
        if (of === "weight") y.data[weightAt(c)]! += d * v * factor;
        else y.data[start + c] = (weight.data[weightAt(c)]! * d - (v * products * factor ** 2) / part) * factor;
      }
    }
  },
  samples: gradientKinds.flatMap((of) => [
    { shapes: [[2, 8], [8], [2, 8]], attributes: { of, epsilon: 1e-6 } },
    { shapes: [[70, 33], [33], [70, 33]], attributes: { of, epsilon: 0.1 } },
    { shapes: [[3, 12], [4], [3, 12]], attributes: { of, epsilon: 1e-5, groups: 3 } },
    { shapes: [[3, 12], [12], [3, 12]], attributes: { of, epsilon: 0.5, groups: 3 } },
  ]),
};

export const layerNormGradient: Op<3, { readonly of: GradientKind; readonly epsilon: number }> = {
  name: "layerNormGradient",
  arity: 3,
  attributes: { of: gradientKinds, epsilon: "number" },
  shape([x, weight, dy], { of }) {
    expectOperands("layerNormGradient", x, weight, dy);
    return of === "x" ? x : weight;
  },
  gradient: "unsupported",
  decompose({ b, x: [x, weight, dy], attributes: { of, epsilon } }) {
    const by = 1 / fixed("layerNormGradient", "channels", x.shape[1]!);
    const mean = (value: Value): Value => b.scale(b.sum(value, { axis: 1 }), { by });
    const centred = b.sub(x, mean(x));
    const deviation = b.sqrt(b.scale(b.sum(b.mul(centred, centred), { axis: 1 }), { by, plus: epsilon }));
    const normal = b.div(centred, deviation);
    if (of === "weight") return sumTo(b, b.mul(dy, normal), weight.shape);
    const inner = b.mul(dy, weight);
    return b.div(b.sub(b.sub(inner, mean(inner)), b.mul(normal, mean(b.mul(inner, normal)))), deviation);
  },
  cost: ([x, weight, dy]) => costOf(14 * size(x), x, weight, dy, x),
  reference([x, weight, dy], y, { of, epsilon }) {
    const channels = x.shape[1]!;
    if (of === "weight") y.data.fill(0);
    for (let start = 0; start < x.data.length; start += channels) {
      const at = (data: typeof x.data, c: number): number => data[start + c]!;
      let [sum, squares, gradients, products] = [0, 0, 0, 0];
      for (let c = 0; c < channels; c++) sum += at(x.data, c);
      const mean = sum / channels;
      for (let c = 0; c < channels; c++) {
        const inner = weight.data[c]! * at(dy.data, c);
        squares += (at(x.data, c) - mean) ** 2;
        gradients += inner;
        products += inner * (at(x.data, c) - mean);
      }
      const factor = 1 / Math.sqrt(squares / channels + epsilon);
      for (let c = 0; c < channels; c++) {
        const centred = at(x.data, c) - mean;
        if (of === "weight") y.data[c]! += at(dy.data, c) * centred * factor;
        else
          y.data[start + c] =
            (weight.data[c]! * at(dy.data, c) - gradients / channels - (centred * products * factor ** 2) / channels) * factor;
      }
    }
  },
  samples: gradientKinds.flatMap((of) => [
    { shapes: [[2, 8], [8], [2, 8]], attributes: { of, epsilon: 1e-5 } },
    { shapes: [[70, 33], [33], [70, 33]], attributes: { of, epsilon: 0.1 } },
  ]),
};

/** Both gradients of a norm, as its op's `gradient` gives them. */
export const rmsNormGradients = (
  b: Builder,
  x: Value,
  weight: Value,
  dy: Value,
  attributes: Omit<RmsAttributes, "of">,
): readonly [Value, Value] => [
  b.rmsNormGradient(x, weight, dy, { ...attributes, of: "x" }),
  b.rmsNormGradient(x, weight, dy, { ...attributes, of: "weight" }),
];
