/**
 * AdamW whose moments are kept in 8 bits between steps (Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization", arXiv
 * 2110.02861): decoded, updated, used for the step, and encoded again. 2.06 bytes a parameter in place of 8.
 */
import type { UpdateRule } from "../update-rule.ts";
import { blocksOf, storedPerBlock } from "../../ops/block-codes.ts";
import { size } from "../../tensor/shape.ts";
import { adamRanges, adamStep, type AdamWOptions } from "./adam-moments.ts";
import { adamw } from "./adamw.ts";
import { checkRuleOptions } from "./options.ts";
import { shapeOf } from "./scalars.ts";

export interface AdamW8bitOptions extends AdamWOptions {
  /** Parameters of fewer numbers (norms, biases) keep their moments in f32; 4096. */
  readonly minimumSize?: number;
}

export function adamw8bit(options: AdamW8bitOptions = {}): UpdateRule {
  checkRuleOptions("adamw-8bit", options, { ...adamRanges, minimumSize: { from: 0 } });
  const { minimumSize = 4096, ...adam } = options;
  const [plain, next] = [adamw(adam), adamStep(adam)];
  return {
    name: "adamw-8bit",
    step(of) {
      const { b } = of;
      const shape = shapeOf(of.parameter);
      if (size(shape) < minimumSize) return plain.step(of);
      const stored = [blocksOf("adamw-8bit", shape), storedPerBlock];
      // The second moment is never negative, so its levels need no sign.
      const first = b.blockDequantize(of.state("firstCodes", stored), { shape, signed: true });
      const second = b.blockDequantize(of.state("secondCodes", stored), { shape, signed: false });
      const moments = next(of, { first, second });
      return {
        parameter: moments.parameter,
        state: {
          firstCodes: b.blockQuantize(moments.first, { signed: true }),
          secondCodes: b.blockQuantize(moments.second, { signed: false }),
        },
      };
    },
  };
}
