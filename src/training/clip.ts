/** Clipping by the global norm: all gradients are scaled together so that their norm is at most a limit (Pascanu et al. 2013, arXiv 1211.5063). */
import type { Value } from "../graph/value.ts";
import type { Builder } from "../ops/op.ts";
import { number } from "../ops/spread.ts";

/** The norm of all gradients as one vector, [1]. */
export function globalNorm(b: Builder, gradients: readonly Value[]): Value {
  return b.sqrt(gradients.map((gradient) => b.dot(gradient, gradient)).reduce((sum, square) => b.add(sum, square)));
}

/** min(1, limit / (norm + 1e-6)) as PyTorch's clip_grad_norm_ has it, [1]. */
export function clipFactor(b: Builder, norm: Value, limit: number): Value {
  const room = b.div(number(b, limit, 1), b.scale(norm, { by: 1, plus: 1e-6 }));
  const negative = b.maximum(b.scale(room, { by: -1 }), number(b, -1, 1));
  return b.scale(negative, { by: -1 });
}
