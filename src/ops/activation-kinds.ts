/** The activation functions, each as a formula and as graph; `activation` and `glu` both read this table. */
import type { Value } from "../graph/value.ts";
import { errorFunction } from "./erf.ts";
import type { Builder } from "./op.ts";
import { number } from "./spread.ts";

export type ActivationKind = "silu" | "gelu" | "geluTanh" | "relu" | "relu2" | "quickGelu" | "tanh" | "sigmoid" | "identity";

interface Activation {
  readonly formula: (x: number) => number;
  readonly graph: (b: Builder, x: Value) => Value;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
// 1 / (1 + exp(−x)) without an overflow of exp.
const sigmoidGraph = (b: Builder, x: Value): Value => b.scale(b.tanh(b.scale(x, { by: 0.5 })), { by: 0.5, plus: 0.5 });
const reluGraph = (b: Builder, x: Value): Value => b.maximum(x, number(b, 0, x.shape.length));
const square = (b: Builder, x: Value): Value => b.mul(x, x);
const root2OverPi = Math.sqrt(2 / Math.PI);

export const activations: Readonly<Record<ActivationKind, Activation>> = {
  silu: { formula: (x) => x * sigmoid(x), graph: (b, x) => b.mul(x, sigmoidGraph(b, x)) },
  gelu: {
    formula: (x) => 0.5 * x * (1 + errorFunction(x * Math.SQRT1_2)),
    graph: (b, x) => b.mul(x, b.scale(b.erf(b.scale(x, { by: Math.SQRT1_2 })), { by: 0.5, plus: 0.5 })),
  },
  geluTanh: {
    formula: (x) => 0.5 * x * (1 + Math.tanh(root2OverPi * (x + 0.044715 * x ** 3))),
    graph: (b, x) => {
      const inner = b.mul(x, b.scale(square(b, x), { by: 0.044715 * root2OverPi, plus: root2OverPi }));
      return b.mul(x, b.scale(b.tanh(inner), { by: 0.5, plus: 0.5 }));
    },
  },
  relu: { formula: (x) => Math.max(x, 0), graph: reluGraph },
  relu2: { formula: (x) => Math.max(x, 0) ** 2, graph: (b, x) => square(b, reluGraph(b, x)) },
  quickGelu: { formula: (x) => x * sigmoid(1.702 * x), graph: (b, x) => b.mul(x, sigmoidGraph(b, b.scale(x, { by: 1.702 }))) },
  tanh: { formula: Math.tanh, graph: (b, x) => b.tanh(x) },
  sigmoid: { formula: sigmoid, graph: sigmoidGraph },
  identity: { formula: (x) => x, graph: (_, x) => x },
};

export const activationKinds: readonly ActivationKind[] = Object.keys(activations) as ActivationKind[];
