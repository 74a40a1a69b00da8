/** Additive techniques against PEFT, and adapters against torch: logits, loss and gradients; and that the graph that serves answers the same. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { given, measure, type Measured, neededBy, openTrainable, packTexts } from "../../../testing/tuning.ts";
import { createNativeBackend } from "../../backends/native/backend.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import { openFile } from "../../formats/files.ts";
import { readSafetensors } from "../../formats/safetensors.ts";
import { verifyGraph } from "../../graph/verify.ts";
import { opRules } from "../../ops/builder.ts";
import { decodeTensor } from "../../tensor/stored.ts";
import type { Shape } from "../../tensor/shape.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import type { Trainable } from "../../training/trainable.ts";
import { ia3 } from "./ia3.ts";
import { normTuning } from "./norm-tuning.ts";
import { pTuning } from "./p-tuning.ts";
import { parallelAdapters } from "./parallel-adapters.ts";
import { prefixTuning } from "./prefix-tuning.ts";
import { promptTuning } from "./prompt-tuning.ts";
import { serialAdapters } from "./serial-adapters.ts";

const virtualTokens = 3;
const cases: readonly (readonly [string, string, TuningTechnique])[] = [
  ["ia3", "llama-3", ia3()],
  ["ia3-biases", "qwen-2", ia3({ targets: ["q_proj", "v_proj", "down_proj"] })],
  ["ia3-inputs", "llama-3", ia3({ targets: "o_proj, up_proj", feedForward: ["o_proj", "up_proj"] })],
  ["ln", "llama-3", normTuning()],
  ["prompt", "llama-3", promptTuning({ virtualTokens })],
  ["prompt-scaled", "gemma-3", promptTuning({ virtualTokens })],
  ["prompt-multiplied", "granite", promptTuning({ virtualTokens })],
  ["p-tuning", "llama-3", pTuning({ virtualTokens, hidden: 12 })],
  ["prefix", "llama-3", prefixTuning({ virtualTokens })],
  ["prefix-norms", "gemma-3", prefixTuning({ virtualTokens })],
  ["prefix-projection", "llama-3", prefixTuning({ virtualTokens, projection: 10 })],
  ["adapters", "llama-3", serialAdapters({ size: 5, norms: false })],
  ["parallel-adapters", "llama-3", parallelAdapters({ size: 5, places: ["attention", "mlp"] })],
  ["adapters-experts", "mixtral", serialAdapters({ size: 5, norms: false, places: ["mlp"] })],
  ["parallel-adapters-experts", "mixtral", parallelAdapters({ size: 5, places: ["mlp"] })],
];

interface Truth {
  readonly texts: readonly Float32Array[];
  readonly logits: Float32Array;
  readonly loss: number;
  readonly weights: ReadonlyMap<string, { readonly shape: Shape; readonly numbers: Float32Array }>;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

async function readTruth(name: string): Promise<Truth> {
  const path = fileURLToPath(new URL(`../../../testing/fixtures/tuning-additive/${name}.safetensors`, import.meta.url));
  const file = await readSafetensors(await openFile(path));
  const all = new Map<string, { shape: Shape; numbers: Float32Array }>();
  for (const [key, tensor] of file.tensors) all.set(key, { shape: tensor.shape, numbers: await decodeTensor(tensor) });
  await file.close();
  const under = (prefix: string): [string, { shape: Shape; numbers: Float32Array }][] =>
    [...all].flatMap(([key, value]) =>
      (key.startsWith(prefix) ? [[key.slice(prefix.length), value] as const] : []).map(([k, v]) => [k, v]),
    );
  return {
    texts: [all.get("ids.0")!.numbers, all.get("ids.1")!.numbers],
    logits: all.get("logits")!.numbers,
    loss: all.get("loss")!.numbers[0]!,
    weights: new Map(under("weights.")),
    gradients: new Map(under("gradients.").map(([key, { numbers }]) => [key, numbers])),
  };
}

/** The trained weights are those of the truth, no more and no less, and hold its numbers. */
function filled(tuned: Trainable, truth: Truth): Trainable {
  expect([...tuned.trained].toSorted()).toEqual([...truth.weights.keys()].toSorted());
  const weights = new Map(tuned.weights);
  for (const [name, { shape, numbers }] of truth.weights) {
    expect(weights.get(name)!.shape).toEqual(shape);
    weights.set(name, given(shape, numbers));
  }
  return { ...tuned, weights };
}

/** The worst difference, relative to the largest number. */
function difference(got: ArrayLike<number>, wanted: Float32Array): number {
  expect(got.length).toBe(wanted.length);
  let [worst, largest] = [0, 0];
  wanted.forEach((value, i) => {
    worst = Math.max(worst, Math.abs(got[i]! - value));
    largest = Math.max(largest, Math.abs(value));
  });
  return worst / largest;
}

const native = createNativeBackend({ threads: 1 });
const backends = [createReferenceBackend(), ...("backend" in native ? [native.backend] : [])];

test.each(cases)("%s gives the logits and gradients of the original", async (name, family, technique) => {
  const truth = await readTruth(name);
  const { trainable, context, close } = await openTrainable(family);
  const tuned = filled(await technique.apply(trainable, context), truth);
  const packed = packTexts(truth.texts, tuned.virtualTokens);
  for (const backend of backends) {
    const got = await measure(backend, tuned, packed);
    expect(Math.abs(got.loss - truth.loss)).toBeLessThan(1e-4);
    expect(difference(got.logits, truth.logits)).toBeLessThan(1e-4);
    for (const [weight, gradient] of truth.gradients) expect(difference(got.gradients.get(weight)!, gradient), weight).toBeLessThan(1e-4);
  }
  await close();
});

/** On texts, by the reference, without looking at gradients. */
async function runWith(texts: readonly number[][], technique?: TuningTechnique): Promise<Measured> {
  const { trainable, context, close } = await openTrainable("llama-3");
  const tuned = technique === undefined ? trainable : await technique.apply(trainable, context);
  const measured = await measure(backends[0]!, tuned, packTexts(texts), new Set());
  await close();
  return measured;
}

const pages = 2;
test.each(cases.filter(([, , technique]) => technique.serve !== undefined))(
  "%s serves the same from the cache",
  async (name, family, technique) => {
    const truth = await readTruth(name);
    const { model, trainable, context, close } = await openTrainable(family);
    const tuned = filled(await technique.apply(trainable, context), truth);
    const graph = technique.serve!(model.graphs()["generate"]!);
    verifyGraph(graph, opRules);
    const caps = { T: 16, S: 2, C: pages, R: 16 };
    const vocabulary = model.vocabularySize;
    for (const backend of backends) {
      const loaded = await backend.load({ generate: graph }, tuned.weights, { caps, cachePages: 4, cacheFormat: "F32" });
      let row = 0;
      for (const [s, text] of truth.texts.entries()) {
        const { inputs } = packTexts([text], tuned.virtualTokens);
        const count = text.length + tuned.virtualTokens;
        // The virtual rows, then some of the text, then the rest: earlier rows are only seen through the cache.
        const cuts = [0, tuned.virtualTokens, tuned.virtualTokens + 2, count].filter((cut, i, all) => i === 0 || cut > all[i - 1]!);
        for (const [i, from] of cuts.slice(0, -1).entries()) {
          const to = cuts[i + 1]!;
          const rows = to - from;
          const part = (of: string): Int32Array => (inputs[of] as Int32Array).slice(from, to);
          const found = await loaded.run({
            program: "generate",
            symbols: { T: rows, S: 1, C: pages, R: rows },
            inputs: neededBy(graph, {
              tokens: part("tokens"),
              positions: part("positions"),
              virtual: part("virtual"),
              rowOffsets: Int32Array.of(0, rows),
              contextLengths: Int32Array.of(to),
              pageTable: Int32Array.of(2 * s, 2 * s + 1),
              "pageTable.8": Int32Array.of(2 * s, 2 * s + 1),
              outputRows: Int32Array.from({ length: rows }, (_, r) => r),
            }),
          });
          if (from < tuned.virtualTokens) continue;
          const wanted = truth.logits.subarray(row * vocabulary, (row + rows) * vocabulary);
          expect(difference(found["logits"]!, wanted)).toBeLessThan(1e-4);
          row += rows;
        }
      }
      await loaded.dispose();
    }
    await close();
  },
);

test("techniques begin with an unchanged model where the paper says so", async () => {
  const texts = [[5, 9, 31, 7, 22, 80]];
  const before = await runWith(texts);
  for (const technique of [ia3(), parallelAdapters({ size: 4 }), serialAdapters({ size: 4, deviation: 0 }), normTuning()])
    expect(difference((await runWith(texts, technique)).logits, before.logits)).toBeLessThan(1e-6);
  const noisy = await runWith(texts, serialAdapters({ size: 4 }));
  expect(difference(noisy.logits, before.logits)).toBeGreaterThan(1e-7);
  expect(difference(noisy.logits, before.logits)).toBeLessThan(1e-2);
});

test("without virtual rows, the graph of a prompt or prefix gives exactly what the model gives", async () => {
  const texts = [
    [5, 9, 31],
    [7, 22, 80, 4],
  ];
  const before = await runWith(texts);
  for (const technique of [promptTuning({ virtualTokens }), prefixTuning({ virtualTokens }), pTuning({ virtualTokens })])
    expect((await runWith(texts, technique)).logits).toEqual(before.logits);
});
