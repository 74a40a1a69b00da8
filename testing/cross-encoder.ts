/** A tiny cross-encoder: the fixture of BERT with a classifier behind its pooler. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openDirectory } from "../src/formats/directory.ts";
import { writeSafetensors } from "../src/formats/safetensors-write.ts";
import { F32 } from "../src/tensor/formats/floats.ts";
import { decodeTensor } from "../src/tensor/stored.ts";

const base = fileURLToPath(new URL("./fixtures/families/bert", import.meta.url));

/** The classifier's weights, for those who compute the scores themselves. */
export const classifierWeights = (labels: number): Float32Array => Float32Array.from({ length: labels * 32 }, (_, i) => Math.sin(i + 1));
export const classifierBias = 0.25;

/** A directory in Hugging Face layout; `remove` deletes it. */
export async function writeCrossEncoder(labels = 1): Promise<{ readonly path: string; remove(): void }> {
  const path = mkdtempSync(join(tmpdir(), "frugal-cross-encoder-"));
  cpSync(base, path, { recursive: true });
  const { tensors, close } = await openDirectory(base);
  const kept = await Promise.all(
    [...tensors].map(async ([name, tensor]) => ({ name, shape: tensor.shape, values: await decodeTensor(tensor) })),
  );
  await close();
  const added = [
    { name: "classifier.weight", shape: [labels, 32], values: classifierWeights(labels) },
    { name: "classifier.bias", shape: [labels], values: new Float32Array(labels).fill(classifierBias) },
  ];
  await writeSafetensors(
    join(path, "model.safetensors"),
    [...kept, ...added].map(({ values, ...tensor }) => ({ ...tensor, format: F32, bytes: new Uint8Array(values.buffer) })),
  );
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
