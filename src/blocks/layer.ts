/** One layer: attention and feed-forward around a residual stream, with norms where the model has them. */
import type { Value } from "../graph/value.ts";
import type { Builder } from "../ops/op.ts";
import { attention, type AttentionSpec } from "./attention.ts";
import type { Context } from "./context.ts";
import { experts, type ExpertsSpec } from "./experts.ts";
import { mlp, type MlpSpec } from "./mlp.ts";
import { norm, type NormSpec } from "./norm.ts";

/**
 * Where norms stand around a part f of a layer.
 * pre: x + f(n(x)); post: n(x + f(x)); sandwich: x + m(f(n(x))); parallel: x + attention(n(x)) + mlp(m(x));
 * normed: n(x) + f(n(x)).
 */
export type Placement = "pre" | "post" | "sandwich" | "parallel" | "normed";

export interface LayerSpec {
  readonly placement: Placement;
  readonly attention: AttentionSpec;
  readonly mlp: MlpSpec | ExpertsSpec;
}

/** What all layers of a model share. */
export interface LayerSetting {
  readonly norm: NormSpec;
  /** What each part is multiplied by before it is added. */
  readonly residualScale?: number | undefined;
}

/** x [T, C] -> [T, C]; weights are called `layers.INDEX.`, then `attention`, `mlp` or `experts`, and the norms. */
export function layerBlock(b: Builder, context: Context, index: number, x: Value, layer: LayerSpec, spec: LayerSetting): Value {
  const name = `layers.${index}`;
  const attend = (input: Value): Value => attention(b, context, index, `${name}.attention`, input, layer.attention);
  const think = (input: Value): Value =>
    "experts" in layer.mlp ? experts(b, `${name}.experts`, input, layer.mlp) : mlp(b, `${name}.mlp`, input, layer.mlp);
  const normed = (of: string, input: Value): Value => norm(b, `${name}.${of}`, input, spec.norm);
  const added = (to: Value, part: Value): Value =>
    b.add(to, spec.residualScale === undefined ? part : b.scale(part, { by: spec.residualScale }));
  switch (layer.placement) {
    case "pre": {
      const y = added(x, attend(normed("attentionNorm", x)));
      return added(y, think(normed("mlpNorm", y)));
    }
    case "post": {
      const y = normed("attentionNorm", added(x, attend(x)));
      return normed("mlpNorm", added(y, think(y)));
    }
    case "sandwich": {
      const y = added(x, normed("attentionOutputNorm", attend(normed("attentionNorm", x))));
      return added(y, normed("mlpOutputNorm", think(normed("mlpNorm", y))));
    }
    case "normed": {
      const from = normed("attentionNorm", x);
      const y = normed("mlpNorm", added(from, attend(from)));
      return added(y, think(y));
    }
    case "parallel":
      return added(added(x, attend(normed("attentionNorm", x))), think(normed("mlpNorm", x)));
  }
}
