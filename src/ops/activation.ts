/** activation — y = f(x), elementwise, for one of the kinds of activation-kinds.ts. */
import { size } from "../tensor/shape.ts";
import { type ActivationKind, activationKinds, activations } from "./activation-kinds.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";

export const activation: Op<1, { readonly kind: ActivationKind }> = {
  name: "activation",
  cheapAgain: true,
  arity: 1,
  attributes: { kind: activationKinds },
  shape: ([x]) => x,
  gradient: "decomposition",
  decompose: ({ b, x: [x], attributes: { kind } }) => activations[kind].graph(b, x),
  cost: ([x]) => costOf(15 * size(x), x, x),
  reference([x], y, { kind }) {
    const { formula } = activations[kind];
    for (let i = 0; i < y.data.length; i++) y.data[i] = formula(x.data[i]!);
  },
  samples: activationKinds.map((kind, i) => ({ shapes: [[3, 9 + i]], attributes: { kind } })),
};
