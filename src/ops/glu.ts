/** glu — y = f(gate) · up: the gated unit of modern feed-forward layers (Shazeer 2020, arXiv 2002.05202). */
import { size } from "../tensor/shape.ts";
import { type ActivationKind, activationKinds, activations } from "./activation-kinds.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";
import { expectDims } from "./shapes.ts";

export const glu: Op<2, { readonly kind: ActivationKind }> = {
  name: "glu",
  cheapAgain: true,
  arity: 2,
  attributes: { kind: activationKinds },
  shape([gate, up]) {
    expectDims("glu", "up", up, gate);
    return gate;
  },
  gradient: "decomposition",
  decompose: ({ b, x: [gate, up], attributes: { kind } }) => b.mul(activations[kind].graph(b, gate), up),
  cost: ([x]) => costOf(16 * size(x), x, x, x),
  reference([gate, up], y, { kind }) {
    const { formula } = activations[kind];
    for (let i = 0; i < y.data.length; i++) y.data[i] = formula(gate.data[i]!) * up.data[i]!;
  },
  samples: activationKinds.map((kind, i) => ({
    shapes: [
      [3, 9 + i],
      [3, 9 + i],
    ],
    attributes: { kind },
  })),
};
