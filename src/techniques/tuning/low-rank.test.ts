/** LoRA's family against PEFT (testing/oracles/tuning_low_rank.py): logits, gradients, and losses of 12 steps of AdamW. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { given, neededBy, openTrainable, packTexts } from "../../../testing/tuning.ts";
import type { Inputs, Outputs } from "../../backends/backend.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import { openFile } from "../../formats/files.ts";
import { readSafetensors } from "../../formats/safetensors.ts";
import type { Graph } from "../../graph/value.ts";
import { verifyGraph } from "../../graph/verify.ts";
import { opRules } from "../../ops/builder.ts";
import { size } from "../../tensor/shape.ts";
import { decodeTensor } from "../../tensor/stored.ts";
import { gradientName, trainingPrograms } from "../../training/programs.ts";
import type { TechniqueContext, TuningTechnique } from "../../training/technique.ts";
import type { Trainable } from "../../training/trainable.ts";
import { adamw } from "../../training/update-rules/adamw.ts";
import { adalora } from "./adalora.ts";
import { dora } from "./dora.ts";
import { lora } from "./lora.ts";
import { loraPlus } from "./lora-plus.ts";
import { pissa } from "./pissa.ts";
import { rslora } from "./rslora.ts";
import { vera } from "./vera.ts";

interface Row {
  readonly fixture: string;
  readonly family: string;
  readonly technique: TuningTechnique;
  /** Where first numbers are computed from the model, up to signs that change nothing. */
  readonly ownNumbers?: boolean;
}

const rows: readonly Row[] = [
  { fixture: "lora", family: "llama-2", technique: lora({ rank: 4, alpha: 6, targets: "q_proj,v_proj" }) },
  {
    fixture: "lora-all",
    family: "qwen-2",
    technique: lora({
      rank: 2,
      targets: "all-linear",
      rankPattern: { q_proj: 3, "layers.1.mlp.down": 5 },
      alphaPattern: { v_proj: 2, "layers.0.mlp.up_proj": 3 },
    }),
  },
  { fixture: "lora-gpt-2", family: "gpt-2", technique: lora({ rank: 3, alpha: 3, targets: ["c_fc", "c_proj"] }) },
  { fixture: "lora-plus", family: "llama-2", technique: loraPlus({ rank: 4, alpha: 6, targets: "q_proj,v_proj", ratio: 4 }) },
  { fixture: "rslora", family: "llama-2", technique: rslora({ rank: 4, alpha: 6, targets: "k_proj,gate_proj" }) },
  { fixture: "dora", family: "qwen-2", technique: dora({ rank: 2, alpha: 5 }) },
  { fixture: "dora-gpt-2", family: "gpt-2", technique: dora({ rank: 3, alpha: 3, targets: ["c_fc", "c_proj"] }) },
  { fixture: "vera", family: "llama-2", technique: vera({ rank: 6, targets: "q_proj,up_proj,down_proj" }) },
  { fixture: "adalora", family: "llama-2", technique: adalora({ rank: 4, alpha: 6, targets: "q_proj,down_proj", orthogonality: 0.3 }) },
  { fixture: "pissa", family: "llama-2", technique: pissa({ rank: 4, alpha: 6, targets: "q_proj,down_proj" }), ownNumbers: true },
];

type Truth = ReadonlyMap<string, Float32Array>;

async function readTruth(name: string): Promise<Truth> {
  const file = await readSafetensors(
    await openFile(fileURLToPath(new URL(`../../../testing/fixtures/tuning/${name}.safetensors`, import.meta.url))),
  );
  const truth = new Map<string, Float32Array>();
  for (const [key, tensor] of file.tensors) truth.set(key, await decodeTensor(tensor));
  await file.close();
  return truth;
}

/** The model with the technique and PEFT's first numbers, except where a technique computes them from the model. */
async function tuned(
  model: Trainable,
  context: TechniqueContext,
  { technique, ownNumbers = false }: Row,
  truth: Truth,
): Promise<Trainable> {
  const after = await technique.apply(model, context);
  const first = [...truth].filter(([key]) => key.startsWith("initial/")).map(([key, data]) => [key.replace("initial/", ""), data] as const);
  expect(new Set(first.map(([name]) => name).filter((name) => !name.startsWith("vera.")))).toEqual(after.trained);
  if (ownNumbers) return after;
  const weights = new Map(after.weights);
  for (const [name, data] of first) {
    const { shape } = weights.get(name)!;
    expect(data).toHaveLength(size(shape));
    weights.set(name, given(shape, data));
  }
  return { ...after, weights };
}

const worst = (found: ArrayLike<number>, wanted: Float32Array): number => {
  expect(found).toHaveLength(wanted.length);
  return Math.max(...wanted.map((x, i) => Math.abs(x - found[i]!)));
};
const largest = (numbers: Float32Array): number => Math.max(...numbers.map(Math.abs));

test.each(rows)("$fixture of $family: logits, gradients and 12 losses are PEFT's", async (row) => {
  const truth = await readTruth(row.fixture);
  const { trainable, context, close } = await openTrainable(row.family);
  const model = await tuned(trainable, context, row, truth);
  const { inputs, symbols } = packTexts([truth.get("ids")!]);
  const programs = trainingPrograms(model, adamw({ weightDecay: 0.01 }));
  const graphs: Record<string, Graph> = { ...programs.graphs, forward: model.graph };
  for (const graph of Object.values(graphs)) verifyGraph(graph, opRules);
  const loaded = await createReferenceBackend().load(graphs, programs.weights, { caps: symbols });
  const run = (program: string, more: Inputs = {}): Promise<Outputs> =>
    loaded.run({ program, symbols, inputs: neededBy(graphs[program]!, { ...inputs, ...more }) });
  const { logits } = await run("forward");
  const errors: Record<string, number> = { logits: worst(logits!, truth.get("logits")!) };

  const first = await run("first");
  errors["loss"] = worst(first["loss"]!, truth.get("loss")!);
  for (const name of row.ownNumbers === true ? [] : model.trained) {
    const wanted = truth.get(`gradient/${name}`)!;
    errors["gradient"] = Math.max(errors["gradient"] ?? 0, worst(await loaded.readWeight(gradientName(name)), wanted) / largest(wanted));
  }
  const losses: number[] = [];
  for (let count = 1; count <= 12; count++) {
    losses.push((await run("step", { rate: truth.get("rate")!, count: Float32Array.of(count) }))["loss"]![0]!);
  }
  errors["losses"] = worst(losses, truth.get("losses")!);
  await loaded.dispose();
  await close();
  for (const [what, error] of Object.entries(errors)) expect(error, what).toBeLessThan(1e-4);
});
