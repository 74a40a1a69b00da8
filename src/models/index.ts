/** Every family, once, and the choice of the one that a checkpoint belongs to. */
import { FrugalError, nearest } from "../tensor/error.ts";
import type { Checkpoint, Model, ModelFamily } from "./family.ts";
import { bert, distilbert, roberta } from "./bert.ts";
import { bloom } from "./bloom.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { gpt2 } from "./gpt2.ts";
import { gptNeox } from "./gpt-neox.ts";
import { granite } from "./granite.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { mixtral } from "./mixtral.ts";
import { olmoe } from "./olmoe.ts";
import { opt } from "./opt.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3, qwen3Moe } from "./qwen3.ts";
import { smollm3 } from "./smollm3.ts";

export const families: readonly ModelFamily[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  qwen3Moe,
  gemma2,
  gemma3,
  phi3,
  smollm3,
  granite,
  mixtral,
  olmoe,
  gpt2,
  opt,
  gptNeox,
  bloom,
  bert,
  roberta,
  distilbert,
];

/**
 * The model in a checkpoint. Throws FRUGAL_UNSUPPORTED for a family that is not known, FRUGAL_BAD_CONFIG for a configuration that does not add up,
 * FRUGAL_NOT_FOUND for a missing tensor; messages name file, key or tensor, and the nearest known one.
 */
export function openModel(checkpoint: Checkpoint): Model {
  const [key, namesOf] =
    checkpoint.kind === "gguf"
      ? (["general.architecture", (family: ModelFamily) => family.ggufArchitectures] as const)
      : (["model_type", (family: ModelFamily) => family.modelTypes] as const);
  const value: unknown = checkpoint.kind === "gguf" ? checkpoint.metadata.get(key) : checkpoint.config[key];
  const known = families.flatMap(namesOf);
  if (typeof value !== "string")
    throw new FrugalError(
      "FRUGAL_BAD_CONFIG",
      `${checkpoint.name}: does not say its family, ${key} is missing; known are ${known.join(", ")}`,
      { key },
    );
  const family = families.find((candidate) => namesOf(candidate).includes(value));
  if (family !== undefined) return family.open(checkpoint);
  const near = nearest(value, known);
  throw new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `${checkpoint.name}: ${key} "${value.slice(0, 60)}" is not a family Frugal knows${near === undefined ? "." : `; did you mean "${near}"?`} Known: ${known.join(", ")}`,
    { key, value: value.slice(0, 60) },
  );
}
