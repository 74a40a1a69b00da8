/** Whole trainings of tiny models, step by step against PyTorch's AdamW (testing/oracles/trajectories.py): one program a step, and in pieces. */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openFixture } from "../../testing/families.ts";
import type { Backend } from "../backends/backend.ts";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import { openFile } from "../formats/files.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { sourceName, valuesOf } from "../graph/value.ts";
import { openModel } from "../models/index.ts";
import { decodeTensor } from "../tensor/stored.ts";
import type { Batch } from "./batch.ts";
import { trainingPrograms } from "./programs.ts";
import { createSchedule } from "./schedules.ts";
import { gradientStepper } from "./stepper.ts";
import type { Trainable } from "./trainable.ts";
import { adamw } from "./update-rules/adamw.ts";

interface Settings {
  readonly steps: number;
  readonly rate: number;
  readonly weightDecay: number;
  readonly clip: number;
  readonly warmUpSteps: number;
}

const backends: readonly (() => Promise<Backend>)[] = [async () => createReferenceBackend()];
const names = ["llama-2", "llama-3"];

async function readTruth(name: string): Promise<{ readonly settings: Settings; readonly numbers: ReadonlyMap<string, Float32Array> }> {
  const path = fileURLToPath(new URL(`../../testing/fixtures/training/trajectory-${name}.safetensors`, import.meta.url));
  const file = await readSafetensors(await openFile(path));
  const numbers = new Map<string, Float32Array>();
  for (const [key, tensor] of file.tensors) numbers.set(key, await decodeTensor(tensor));
  await file.close();
  return { settings: JSON.parse(file.metadata.get("settings")!) as Settings, numbers };
}

/** Texts side by side, each token but the first a target; `scored` targets have a weight of 1 together. */
function pack(texts: readonly Float32Array[], scored: number): Batch {
  const rowOffsets = [0];
  for (const { length } of texts) rowOffsets.push(rowOffsets.at(-1)! + length);
  const outputRows = texts.flatMap(({ length }, s) => Array.from({ length: length - 1 }, (_, i) => rowOffsets[s]! + i));
  const rows = rowOffsets.at(-1)!;
  return {
    inputs: {
      tokens: Int32Array.from(texts.flatMap((text) => [...text])),
      positions: Int32Array.from(texts.flatMap(({ length }) => Array.from({ length }, (_, i) => i))),
      rowOffsets: Int32Array.from(rowOffsets),
      outputRows: Int32Array.from(outputRows),
      targets: Int32Array.from(texts.flatMap((text) => [...text.subarray(1)])),
      lossWeights: new Float32Array(outputRows.length).fill(1 / scored),
    },
    symbols: { T: rows, S: texts.length, C: 0, R: outputRows.length },
    examples: [],
  };
}

describe.each(names)("%s", (name) => {
  it.each(backends.flatMap((create) => [false, true].map((splits) => [splits ? "in pieces" : "at once", splits, create] as const)))(
    "learns %s as in PyTorch",
    async (_, splits, create) => {
      const { settings, numbers } = await readTruth(name);
      const checkpoint = await openFixture({ name, kind: "huggingface" });
      const model = openModel(checkpoint);
      const graph = model.graphs({ contextLength: 64 })["score"]!;
      const trained = new Set(valuesOf(graph).flatMap((value) => (value.op === "weight" ? [sourceName(value)] : [])));
      const trainable: Trainable = { graph, weights: model.weights, trained, virtualTokens: 0 };
      const programs = trainingPrograms(trainable, adamw({ weightDecay: settings.weightDecay }), { clip: settings.clip });
      const stepper = gradientStepper(programs, { splits, evaluates: false });
      const loaded = await (await create()).load(stepper.graphs, stepper.weights, { caps: { T: 64, S: 2, C: 0, R: 64 } });

      const texts = [...numbers].filter(([key]) => key.startsWith("text.")).sort(([a], [b]) => a.localeCompare(b));
      const factor = createSchedule({ kind: "cosine", steps: settings.steps + 2, warmUpSteps: settings.warmUpSteps });
      for (let step = 0; step < settings.steps; step++) {
        const used = [0, 1].map((i) => texts[(2 * step + i) % texts.length]![1]);
        const scored = used.reduce((sum, { length }) => sum + length - 1, 0);
        const batches = splits ? used.map((text) => pack([text], scored)) : [pack(used, scored)];
        const { loss, gradientNorm } = await stepper.step(loaded, batches, { rate: settings.rate * factor(step), count: step + 1 });
        expect(Math.abs(loss - numbers.get("losses")![step]!), `loss of step ${step}`).toBeLessThan(2e-5);
        expect(gradientNorm! / numbers.get("norms")![step]!, `norm of step ${step}`).toBeCloseTo(1, 4);
      }
      const norm = await loaded.readWeight("norm");
      numbers.get("final.norm")!.forEach((wanted, i) => expect(norm[i]).toBeCloseTo(wanted, 4));
      await Promise.all([loaded.dispose(), checkpoint.close()]);
    },
  );
});
