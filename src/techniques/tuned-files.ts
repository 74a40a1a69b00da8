/** What a training leaves in its folder: an adapter, or a whole model that opens like any other. */
import { exists, joinPath, kindOf, makeDirectory, readWhole, writeWhole } from "../formats/files.ts";
import { writeGguf } from "../formats/gguf/write.ts";
import { writeSafetensors } from "../formats/safetensors-write.ts";
import type { TensorToWrite } from "../formats/sink.ts";
import type { Checkpoint, Model } from "../models/family.ts";
import { tensorsWith } from "../models/write-back.ts";
import { storedBytes } from "../tensor/format.ts";
import { FrugalError } from "../tensor/error.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { size } from "../tensor/shape.ts";
import type { TuningTechnique } from "../training/technique.ts";
import type { Trainable } from "../training/trainable.ts";
import type { Tuned } from "../training/tune.ts";
import { hasPeftFile, tunedAdapter } from "./tuned-adapter.ts";
import type { PeftFiles } from "../formats/peft.ts";
import { encodePeftAdapter, writePeftAdapter } from "./tuning/peft-write.ts";

export interface Origin {
  readonly checkpoint: Checkpoint;
  readonly model: Model;
  /** The folder whose tokenizer and settings are copied; absent for files that hold everything. */
  readonly folder?: string | undefined;
  /** Further files by name, as JSON: a tokenizer that was learned. */
  readonly files?: Readonly<Record<string, unknown>> | undefined;
}

/** How what was trained is written, and how many bytes that takes, which also finds out beforehand whether it can be written. */
export interface ResultWriter {
  bytes(trainable: Trainable): number;
  write(tuned: Tuned): Promise<void>;
}

/**
 * An adapter as PEFT has it where it has one; a whole model where its own weights were trained; else all that was trained as
 * `tuned.safetensors`. Rejects with FRUGAL_UNSUPPORTED, FRUGAL_NO_SPACE.
 */
export function resultWriter(out: string, origin: Origin, technique: TuningTechnique | undefined): ResultWriter {
  const own = ({ trained }: Trainable): boolean => [...trained].every((name) => origin.model.weights.has(name));
  const four = ({ trained, weights }: Trainable): number => 4 * [...trained].reduce((sum, name) => sum + size(weights.get(name)!.shape), 0);
  if (technique !== undefined && hasPeftFile(technique))
    return {
      bytes: (trainable) => 2 * four(trainable),
      async write(tuned) {
        const adapter = await tunedAdapter(technique, origin.model, tuned);
        await writePeftAdapter(out, origin.model, { ...adapter, config: { ...adapter.config, baseModel: origin.checkpoint.name } });
      },
    };
  return {
    bytes: (trainable) => (own(trainable) ? modelBytes(origin, trainable) : four(trainable)),
    write: (tuned) => (own(tuned.trainable) ? writeModel(out, origin, tuned) : writeTuned(out, technique, tuned)),
  };
}

/** The adapter as PEFT has it, in memory. Rejects with FRUGAL_UNSUPPORTED where it has none. */
export async function adapterFiles(
  { checkpoint, model }: Origin,
  technique: TuningTechnique | undefined,
  tuned: Tuned,
): Promise<PeftFiles> {
  if (technique === undefined || !hasPeftFile(technique))
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `tune: ${technique === undefined ? "all weights together are" : `what "${technique.name}" trains is`} no adapter of PEFT's; read the result's weights, or name a folder (out)`,
      { technique: technique?.name },
    );
  const adapter = await tunedAdapter(technique, model, tuned);
  return encodePeftAdapter(model, { ...adapter, config: { ...adapter.config, baseModel: checkpoint.name } });
}

const notRead = (): Promise<Float32Array> => Promise.reject(new Error("nothing is read to count bytes"));

const modelBytes = ({ checkpoint, model }: Origin, { trained }: Trainable): number =>
  tensorsWith(checkpoint, model, trained, notRead).reduce((sum, { format, shape }) => sum + storedBytes(format, size(shape)), 0);

async function writeModel(out: string, origin: Origin, { trainable, read }: Tuned): Promise<void> {
  const { checkpoint, model, folder } = origin;
  const tensors = tensorsWith(checkpoint, model, trainable.trained, read);
  if (checkpoint.kind === "gguf") return writeGguf(joinPath(out, "model.gguf"), { ...checkpoint, tensors });
  // PyTorch's name for the type of the weights would be another one's now.
  const { torch_dtype: _torch, dtype: _dtype, ...config } = checkpoint.config;
  await writeJson(joinPath(out, "config.json"), { ...config, torch_dtype: "float32" });
  for (const [name, content] of Object.entries(origin.files ?? {})) await writeJson(joinPath(out, name), content);
  if (folder !== undefined) await copyFiles(folder, out);
  await writeSafetensors(joinPath(out, "model.safetensors"), tensors, new Map([["format", "pt"]]));
}

async function writeTuned(out: string, technique: TuningTechnique | undefined, { trainable, read }: Tuned): Promise<void> {
  const format = formatByName("F32");
  const tensors = [...trainable.trained].map((name): TensorToWrite => ({
    name,
    shape: trainable.weights.get(name)!.shape,
    format,
    bytes: (async function* () {
      const { buffer, byteOffset, byteLength } = await read(name);
      yield new Uint8Array(buffer, byteOffset, byteLength);
    })(),
  }));
  const said = { name: technique?.name, ...technique?.options };
  await writeSafetensors(joinPath(out, "tuned.safetensors"), tensors, new Map([["frugal.technique", JSON.stringify(said)]]));
}

const writeJson = (path: string, value: unknown): Promise<void> => writeWhole(path, `${JSON.stringify(value, null, 2)}\n`);

/** What belongs to a model beside its weights and configuration. */
const companions: readonly string[] = [
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "tokenizer.model",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "vocab.txt",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
  "LICENSE",
];
const largestCompanion = 1 << 29;

async function copyFiles(from: string, to: string): Promise<void> {
  if ((await kindOf(from)) !== "directory") return;
  await makeDirectory(to);
  for (const name of companions) {
    const path = joinPath(from, name);
    if (await exists(path)) await writeWhole(joinPath(to, name), await readWhole(path, largestCompanion));
  }
}
