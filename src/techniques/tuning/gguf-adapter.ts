/**
 * LoRA in GGUF, as llama.cpp takes it (`--lora`): `general.type` "adapter", `adapter.type` "lora", and for each tensor NAME of the base
 * `NAME.lora_a` [rank, inputs] and `NAME.lora_b` [outputs, rank]; B·A is multiplied by `adapter.lora.alpha` / rank, by 1 where alpha is 0.
 */
import type { GgufFile } from "../../formats/gguf/read.ts";
import { writeGguf } from "../../formats/gguf/write.ts";
import type { TensorToWrite } from "../../formats/sink.ts";
import type { Checkpoint, Model } from "../../models/family.ts";
import { FrugalError, nearest } from "../../tensor/error.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import type { MetadataValue } from "../../tensor/strings.ts";
import type { StoredTensor } from "../../tensor/stored.ts";
import { linearChanges } from "./adapted-model.ts";
import { type Adapter, type Numbers, numbersOf, takeRows } from "./adapter.ts";
import { fingerprintKey, fingerprintOf } from "./base-fingerprint.ts";
import { type LowRankPart, lowRankSideBySide } from "./side-by-side.ts";

const alphaKey = "adapter.lora.alpha";

/** A tensor of the base, and the weights whose rows it holds. */
interface BaseTensor {
  readonly outputs: number;
  readonly inputs: number;
  readonly parts: readonly { readonly weight: string; readonly rows: Int32Array }[];
}

/** By the names of the base's tensors; matrices alone. */
function baseTensors(model: Model): ReadonlyMap<string, BaseTensor> {
  const found = new Map<string, BaseTensor>();
  for (const [weight, { shape, content }] of model.weights) {
    const [range, ...others] = "rows" in content ? content.rows : [];
    if (range === undefined || others.length > 0 || shape.length !== 2 || range.tensor.shape.length !== 2) continue;
    const [outputs, inputs] = range.tensor.shape as readonly [number, number];
    const rows = Int32Array.from({ length: range.count }, (_, row) => range.first + row);
    found.set(range.tensor.name, { outputs, inputs, parts: [...(found.get(range.tensor.name)?.parts ?? []), { weight, rows }] });
  }
  return found;
}

/** Reads the adapter. Rejects with FRUGAL_BAD_ARGUMENT where the base is another, FRUGAL_UNSUPPORTED, FRUGAL_BAD_FILE. */
export async function readGgufAdapter(name: string, file: GgufFile, checkpoint: Checkpoint, model: Model): Promise<Adapter> {
  const said = (key: string): MetadataValue | undefined => file.metadata.get(key);
  if (said("general.type") !== "adapter" || said("adapter.type") !== "lora")
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${name}: is no LoRA adapter: its general.type is ${print(said("general.type"))} and its adapter.type ${print(said("adapter.type"))}; name an adapter, or give the file as the model`,
    );
  if (checkpoint.kind !== "gguf")
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${name}: names the tensors of a GGUF file, but the base is ${checkpoint.name}; take the base as GGUF`,
    );
  const [wanted, own] = [said("general.architecture"), checkpoint.metadata.get("general.architecture")];
  if (wanted !== own)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${name}: was made for a base of the architecture ${print(wanted)}, but this one is ${print(own)}; take its own base`,
    );
  const alpha = said(alphaKey) ?? 0;
  if (typeof alpha !== "number" || !Number.isFinite(alpha))
    throw new FrugalError("FRUGAL_BAD_FILE", `${name}: ${alphaKey} is ${print(alpha)}, not a number; convert the adapter again`);
  const bases = baseTensors(model);
  const weights = new Map<string, Numbers>();
  const scales = new Map<string, number>();
  let rank = 1;
  for (const [base, { a, b }] of pairsOf(name, file.tensors)) {
    const target = bases.get(base) ?? noTensor(name, base, bases);
    rank = a.shape[0]!;
    for (const [tensor, shape] of [
      [a, [rank, target.inputs]],
      [b, [target.outputs, rank]],
    ] as const)
      if (tensor.shape.join() !== shape.join() || rank === 0)
        throw new FrugalError(
          "FRUGAL_BAD_ARGUMENT",
          `${name}: tensor "${tensor.name}" is [${tensor.shape.join(", ")}], but this base needs [${shape.join(", ")}]; the adapter was made for another base`,
          { tensor: tensor.name },
        );
    const [few, many] = [await numbersOf(a), await numbersOf(b)];
    for (const { weight, rows } of target.parts) {
      weights.set(`${weight}.loraA`, few);
      weights.set(`${weight}.loraB`, takeRows(many, rows));
      scales.set(weight, alpha === 0 ? 1 : alpha / rank);
    }
  }
  return { config: { type: "LORA", rank, alpha: alpha === 0 ? rank : alpha }, weights, scales, replaced: new Map(), further: new Map() };
}

const print = (value: MetadataValue | undefined): string =>
  typeof value === "object" ? "a list" : JSON.stringify(String(value).slice(0, 60));

function noTensor(name: string, base: string, bases: ReadonlyMap<string, BaseTensor>): never {
  const near = nearest(base, bases.keys());
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${name}: adapts the tensor "${base.slice(0, 100)}", which this base has not as a matrix${near === undefined ? "" : `; the nearest is "${near}"`}; take the base it was made for`,
    { tensor: base.slice(0, 100) },
  );
}

function pairsOf(name: string, tensors: ReadonlyMap<string, StoredTensor>): Map<string, { a: StoredTensor; b: StoredTensor }> {
  const pairs = new Map<string, { a: StoredTensor; b: StoredTensor }>();
  for (const [full, tensor] of tensors) {
    const [, base, end] = /^(.*)\.lora_([ab])$/s.exec(full) ?? [];
    if (base === undefined)
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        `${name}: tensor "${full.slice(0, 100)}" is neither a lora_a nor a lora_b; Frugal cannot use it`,
        {
          tensor: full.slice(0, 100),
        },
      );
    const other = tensors.get(`${base}.lora_${end === "a" ? "b" : "a"}`);
    if (other === undefined)
      throw new FrugalError("FRUGAL_BAD_FILE", `${name}: "${full}" has no counterpart; convert the adapter again`, { tensor: full });
    pairs.set(base, end === "a" ? { a: tensor, b: other } : { a: other, b: tensor });
  }
  if (pairs.size === 0) throw new FrugalError("FRUGAL_BAD_FILE", `${name}: holds no adapter, there are no tensors; convert it again`);
  return pairs;
}

/**
 * Writes the adapter for llama.cpp; the model must have been opened from the GGUF file it will run on. Rejects with FRUGAL_UNSUPPORTED for
 * adapters that are more than a product of low rank (merge these), FRUGAL_NO_SPACE.
 */
export async function writeGgufAdapter(
  path: string,
  checkpoint: Checkpoint,
  model: Model,
  adapter: Adapter,
  signal?: AbortSignal,
): Promise<void> {
  if (checkpoint.kind !== "gguf")
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${path}: an adapter in GGUF names the tensors of its base's GGUF file, but the base is ${checkpoint.name}; give the base as GGUF`,
    );
  const changes = await linearChanges(model, adapter);
  const more =
    [...changes].find(([, { outputs, inputs }]) => outputs !== undefined || inputs !== undefined)?.[0] ??
    adapter.replaced.keys().next().value;
  if (more !== undefined)
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${path}: the adapter does more to "${more}" than add a product of low rank, and llama.cpp knows nothing else; merge it into the model`,
      { weight: more },
    );
  const tensors: TensorToWrite[] = [];
  const left = new Set(changes.keys());
  let alpha: number | undefined;
  for (const [name, { parts, outputs }] of baseTensors(model)) {
    const own = parts.flatMap(({ weight, rows }): LowRankPart[] => {
      const lowRank = left.delete(weight) ? changes.get(weight)?.lowRank : undefined;
      return lowRank === undefined ? [] : [{ ...lowRank, rows }];
    });
    if (own.length === 0) continue;
    const { a, b } = lowRankSideBySide(own, outputs);
    const rank = a.shape[0]!;
    // One alpha holds for all: B, which is scaled already, takes back what a reader will multiply by.
    alpha ??= (adapter.scales.get(parts.find(({ weight }) => changes.has(weight))!.weight) ?? 1) * rank;
    const back = rank / alpha;
    tensors.push(inFloats(`${name}.lora_a`, a), inFloats(`${name}.lora_b`, { ...b, values: b.values.map((value) => value * back) }));
  }
  for (const weight of left)
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${path}: the weight "${weight}" is no matrix of ${checkpoint.name}; merge the adapter into the model`,
      {
        weight,
      },
    );
  const metadata = new Map<string, MetadataValue>([
    ["general.architecture", checkpoint.metadata.get("general.architecture") ?? ""],
    ["general.type", "adapter"],
    ["adapter.type", "lora"],
    [alphaKey, alpha ?? 0],
    [fingerprintKey, JSON.stringify(await fingerprintOf(model))],
  ]);
  await writeGguf(path, { metadata, types: new Map([[alphaKey, "f32"]]), tensors }, signal === undefined ? {} : { signal });
}

const inFloats = (name: string, { shape, values }: Numbers): TensorToWrite => ({
  name,
  shape,
  format: formatByName("F32"),
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
});
