/** Runs an update rule on given gradients through the programs of training, and reads the truth of testing/oracles/optimizers.py. */
import { fileURLToPath } from "node:url";
import type { Backend, LoadedModel, Outputs, Weights } from "../src/backends/backend.ts";
import { openFile } from "../src/formats/files.ts";
import { readSafetensors } from "../src/formats/safetensors.ts";
import type { Graph, Value } from "../src/graph/value.ts";
import { verifyGraph } from "../src/graph/verify.ts";
import { createBuilder, opRules } from "../src/ops/builder.ts";
import { size, type Shape } from "../src/tensor/shape.ts";
import { decodeTensor } from "../src/tensor/stored.ts";
import { type TrainingPrograms, trainingPrograms } from "../src/training/programs.ts";
import type { UpdateRule } from "../src/training/update-rule.ts";

export interface OptimizerTruth {
  readonly described: (name: string) => unknown;
  readonly numbers: (name: string) => Float32Array;
}

export async function readOptimizerTruth(): Promise<OptimizerTruth> {
  const file = await readSafetensors(await openFile(fileURLToPath(new URL("./fixtures/training/optimizers.safetensors", import.meta.url))));
  const tensors = new Map<string, Float32Array>();
  for (const [name, tensor] of file.tensors) tensors.set(name, await decodeTensor(tensor));
  await file.close();
  const found = <T>(name: string, from: ReadonlyMap<string, T>): T => {
    const value = from.get(name);
    if (value === undefined) throw new Error(`optimizers.safetensors: no ${name}`);
    return value;
  };
  return { described: (name) => JSON.parse(found(name, file.metadata)), numbers: (name) => found(name, tensors) };
}

export interface Parameter {
  readonly name: string;
  readonly shape: Shape;
  readonly start: Float32Array;
  /** One after the other, step by step. */
  readonly gradients: Float32Array;
}

export interface RuleRun {
  readonly loaded: LoadedModel;
  readonly states: readonly string[];
  /** Step t, from 0 on; or another of the programs. */
  step(t: number, rate: number, program?: keyof TrainingPrograms["graphs"]): Promise<Outputs>;
}

/** The loss is the sum of parameter · input, so the gradients are the inputs. */
export async function loadRule(
  backend: Backend,
  rule: UpdateRule,
  parameters: readonly Parameter[],
  { lossScale, change = (programs) => programs }: { lossScale?: boolean; change?: (programs: TrainingPrograms) => TrainingPrograms } = {},
): Promise<RuleRun> {
  const b = createBuilder();
  const products = parameters.map(({ name, shape }): Value => b.dot(b.weight(name, shape), b.input(`d.${name}`, { shape, type: "f32" })));
  const graph: Graph = {
    outputs: new Map([
      [
        "loss",
        b.reshape(
          products.reduce((sum, product) => b.add(sum, product)),
          { shape: [1, 1] },
        ),
      ],
    ]),
  };
  const weights: Weights = new Map(
    parameters.map(({ name, shape, start }) => [name, { shape, content: { values: async () => start.slice() } }]),
  );
  const trained = new Set(parameters.map(({ name }) => name));
  const programs = change(trainingPrograms({ graph, weights, trained, virtualTokens: 0 }, rule, { lossScale, loss: (model) => model }));
  for (const graph of Object.values(programs.graphs)) verifyGraph(graph, opRules);
  const symbols = { T: 0, S: 0, C: 0, R: 0 };
  const loaded = await backend.load({ ...programs.graphs }, programs.weights, { caps: symbols });
  return {
    loaded,
    states: programs.states,
    async step(t, rate, program = "step") {
      const gradients = parameters.map(({ name, shape, gradients: all }) => {
        const length = size(shape);
        return [`d.${name}`, all.slice(t * length, (t + 1) * length)] as const;
      });
      const inputs = { ...Object.fromEntries(gradients), rate: Float32Array.of(rate), count: Float32Array.of(t + 1) };
      return loaded.run({ program, symbols, inputs });
    },
  };
}
