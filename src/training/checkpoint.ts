/**
 * Checkpoints: one safetensors file that takes its name only when it is whole and synced. It holds every weight that steps change, the
 * number of steps, where the data stands, and the settings of the run; random numbers need no state, they are functions of seed and place.
 */
import { openFile } from "../formats/files.ts";
import { isJsonObject, type JsonObject } from "../formats/json.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { writeSafetensors } from "../formats/safetensors-write.ts";
import type { TensorToWrite } from "../formats/sink.ts";
import { FrugalError } from "../tensor/error.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { size } from "../tensor/shape.ts";
import { decodeTensor } from "../tensor/stored.ts";

/** The numbers of weights, read one after the other when their turn comes. */
export interface Kept {
  /** By name, how many numbers each has. */
  readonly sizes: ReadonlyMap<string, number>;
  read(name: string): Promise<Float32Array>;
}

/** All of them at once. */
export async function readAll({ sizes, read }: Kept): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  for (const name of sizes.keys()) found.set(name, await read(name));
  return found;
}

/** The least evaluation loss so far. */
export interface Best {
  readonly step: number;
  readonly loss: number;
  /** Evaluations since. */
  readonly failures: number;
  readonly weights: ReadonlyMap<string, Float32Array>;
}

export interface TrainingState {
  /** Steps done. */
  readonly step: number;
  /** Of the batch source. */
  readonly data: unknown;
  /** Whether the training came to its end. */
  readonly ended: boolean;
  readonly best?: Best | undefined;
}

export interface Checkpoint {
  readonly state: TrainingState;
  readonly kept: Kept;
  /** What the run was asked for: a run with other settings must not go on from here. */
  readonly settings: JsonObject;
  close(): Promise<void>;
}

const bestPrefix = "best/";
const format = formatByName("F32");
const version = 1;

/**
 * Writes a checkpoint atomically. Rejects with FRUGAL_NUMERIC, leaving nothing, where a weight holds what is no number; with FRUGAL_NO_SPACE.
 */
export async function writeCheckpoint(path: string, state: TrainingState, kept: Kept, settings: JsonObject): Promise<void> {
  const { best, ...rest } = state;
  const header = {
    version,
    ...rest,
    ...(best === undefined ? {} : { best: { step: best.step, loss: best.loss, failures: best.failures } }),
    settings,
  };
  const tensors: TensorToWrite[] = [...kept.sizes].map(([name, length]) => ({
    name,
    shape: [length],
    format,
    bytes: numbersOf(path, name, () => kept.read(name)),
  }));
  for (const [name, numbers] of best?.weights ?? [])
    tensors.push({ name: `${bestPrefix}${name}`, shape: [numbers.length], format, bytes: numbersOf(path, name, async () => numbers) });
  await writeSafetensors(path, tensors, new Map([["frugal.training", JSON.stringify(header)]]));
}

async function* numbersOf(path: string, name: string, read: () => Promise<Float32Array>): AsyncGenerator<Uint8Array> {
  const numbers = await read();
  const wrong = numbers.findIndex((number) => !Number.isFinite(number));
  if (wrong >= 0)
    throw new FrugalError(
      "FRUGAL_NUMERIC",
      `${path}: weight "${name}" holds ${numbers[wrong]} at element ${wrong}, so it is not saved; go on from the checkpoint before with a lower learning rate`,
      { weight: name, element: wrong },
    );
  yield new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

/** Opens a checkpoint. Rejects with FRUGAL_BAD_FILE for what `writeCheckpoint` did not write. */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  const file = await readSafetensors(await openFile(path));
  const header = headerOf(path, file.metadata.get("frugal.training"));
  const read = async (name: string): Promise<Float32Array> => {
    const tensor = file.tensors.get(name);
    if (tensor === undefined)
      throw new FrugalError("FRUGAL_BAD_FILE", `${path}: has no weight "${name}"; it is of another run`, { weight: name });
    return decodeTensor(tensor);
  };
  const sizes = new Map<string, number>();
  const bestWeights = new Map<string, Float32Array>();
  for (const [name, tensor] of file.tensors) {
    if (name.startsWith(bestPrefix)) bestWeights.set(name.slice(bestPrefix.length), await decodeTensor(tensor));
    else sizes.set(name, size(tensor.shape));
  }
  const { best } = header;
  return {
    state: {
      step: header.step,
      data: header.data,
      ended: header.ended,
      ...(best === undefined ? {} : { best: { ...best, weights: bestWeights } }),
    },
    kept: { sizes, read },
    settings: header.settings,
    close: () => file.close(),
  };
}

interface Header {
  readonly step: number;
  readonly data: unknown;
  readonly ended: boolean;
  readonly best?: Omit<Best, "weights">;
  readonly settings: JsonObject;
}

function headerOf(path: string, text: string | undefined): Header {
  const bad = (what: string): FrugalError =>
    new FrugalError("FRUGAL_BAD_FILE", `${path}: ${what}; it is no checkpoint of a training`, { path });
  if (text === undefined) throw bad("has no frugal.training in its metadata");
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch {
    throw bad("its frugal.training is no JSON");
  }
  if (!isJsonObject(header) || header["version"] !== version) throw bad(`its frugal.training is not of version ${version}`);
  const { step, ended, settings, best, data } = header;
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!isCount(step) || typeof ended !== "boolean" || !isJsonObject(settings))
    throw bad("its frugal.training lacks step, ended or settings");
  if (best === undefined) return { step, data, ended, settings };
  if (!isJsonObject(best) || !isCount(best["step"]) || !isCount(best["failures"]) || typeof best["loss"] !== "number")
    throw bad("its best evaluation lacks step, loss or failures");
  return { step, data, ended, settings, best: { step: best["step"], loss: best["loss"], failures: best["failures"] } };
}
