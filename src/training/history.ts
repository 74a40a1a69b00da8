/** The history of a training as lines of JSON, one a step. */
import { isJsonObject } from "../formats/json.ts";
import { FrugalError } from "../tensor/error.ts";
import type { TrainingProgress } from "./run.ts";

export function historyLine(of: TrainingProgress): string {
  const line = {
    step: of.step,
    loss: of.loss,
    rate: of.rate,
    ...(of.gradientNorm === undefined ? {} : { gradient_norm: of.gradientNorm }),
    ...(of.evaluationLoss === undefined ? {} : { evaluation_loss: of.evaluationLoss }),
    tokens: of.tokens,
    tokens_per_second: Math.round(of.tokensPerSecond * 10) / 10,
  };
  return `${JSON.stringify(line)}\n`;
}

/** Steps 1, 2, 3, ... as far as they go: a last line that is cut off was never a step. */
export function readHistory(name: string, bytes: Uint8Array): readonly TrainingProgress[] {
  const lines = new TextDecoder().decode(bytes).split("\n").slice(0, -1);
  return lines.map((text, i) => {
    const line = parsed(text);
    const number = (key: string): number | undefined => (typeof line?.[key] === "number" ? line[key] : undefined);
    const [loss, rate, tokens, gradientNorm, evaluationLoss] = ["loss", "rate", "tokens", "gradient_norm", "evaluation_loss"].map(number);
    if (number("step") !== i + 1 || loss === undefined || rate === undefined || tokens === undefined)
      throw new FrugalError("FRUGAL_BAD_FILE", `${name}: line ${i + 1} is not step ${i + 1} of a training; begin anew elsewhere`, {
        line: i + 1,
      });
    return {
      step: i + 1,
      steps: lines.length,
      loss,
      rate,
      ...(gradientNorm === undefined ? {} : { gradientNorm }),
      ...(evaluationLoss === undefined ? {} : { evaluationLoss }),
      tokens,
      tokensPerSecond: number("tokens_per_second") ?? 0,
      secondsLeft: 0,
    };
  });
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
