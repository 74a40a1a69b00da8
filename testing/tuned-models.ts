/** Models with techniques, for tests: a fixture as a trainable, packed texts with virtual rows, and the loss and gradients of a run. */
import type { Backend, Inputs, Weight, Weights } from "../src/backends/backend.ts";
import type { Symbols } from "../src/graph/dim.ts";
import { type Graph, inOrder, sourceName, type Value, valuesOf } from "../src/graph/value.ts";
import { verifyGraph } from "../src/graph/verify.ts";
import { type Model } from "../src/models/family.ts";
import { openModel } from "../src/models/index.ts";
import { opRules } from "../src/ops/builder.ts";
import { decodeWeights } from "../src/backends/weights.ts";
import type { Shape } from "../src/tensor/shape.ts";
import { withLoss } from "../src/training/loss.ts";
import type { TechniqueContext } from "../src/training/technique.ts";
import type { Trainable } from "../src/training/trainable.ts";
import { differentiate } from "../src/transforms/differentiate.ts";
import { openFixture } from "./families.ts";

export interface OpenedModel {
  readonly model: Model;
  /** Trains nothing yet. */
  readonly trainable: Trainable;
  readonly context: TechniqueContext;
  close(): Promise<void>;
}

/** A fixture's Hugging Face checkpoint. */
export async function openTrainable(name: string, seed = 1): Promise<OpenedModel> {
  const checkpoint = await openFixture({ name, kind: "huggingface" });
  const model = openModel(checkpoint);
  const graph = model.graphs()["score"]!;
  return {
    model,
    trainable: { graph, weights: model.weights, trained: new Set(), virtualTokens: 0 },
    context: contextOf(graph, model.weights, seed),
    close: () => checkpoint.close(),
  };
}

export function contextOf(graph: Graph, weights: Weights, seed = 1): TechniqueContext {
  return {
    seed,
    async numbers(name) {
      const value = valuesOf(graph).find((each) => each.op === "weight" && sourceName(each) === name);
      if (value === undefined) throw new Error(`the graph has no weight ${name}`);
      return (await decodeWeights([value], weights, {})).get(name)!;
    },
  };
}

export const given = (shape: Shape, numbers: Float32Array): Weight => ({ shape, content: { values: async () => numbers.slice() } });

export interface Packed {
  readonly inputs: Inputs;
  readonly symbols: Symbols;
}

/** Texts one after the other, each behind its virtual rows; every row of text is an output row, and scored by the token after it. */
export function packTexts(texts: readonly ArrayLike<number>[], virtualTokens = 0): Packed {
  const [tokens, positions, virtual, rowOffsets, outputRows, targets]: number[][] = [[], [], [], [0], [], []];
  for (const text of texts) {
    for (let i = 0; i < virtualTokens + text.length; i++) {
      const at = i - virtualTokens;
      if (at >= 0) {
        outputRows!.push(tokens!.length);
        targets!.push(text[at + 1] ?? -1);
      }
      tokens!.push(at < 0 ? 0 : text[at]!);
      positions!.push(i);
      virtual!.push(at < 0 ? i : -1);
    }
    rowOffsets!.push(tokens!.length);
  }
  const scored = targets!.filter((target) => target >= 0).length;
  const ids = { tokens, positions, virtual, rowOffsets, outputRows, targets };
  return {
    inputs: {
      ...Object.fromEntries(Object.entries(ids).map(([name, list]) => [name, Int32Array.from(list!)])),
      lossWeights: Float32Array.from(targets!, () => 1 / scored),
    },
    symbols: { T: tokens!.length, S: texts.length, C: 0, R: outputRows!.length },
  };
}

export interface Measured {
  readonly loss: number;
  readonly logits: Float32Array;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** One run: the mean loss, the logits of the rows of text, and the gradients of what is trained. */
export async function measure(backend: Backend, tuned: Trainable, packed: Packed, only?: ReadonlySet<string>): Promise<Measured> {
  const outputs = new Map([...withLoss(tuned.graph).outputs, ["logits", tuned.graph.outputs.get("logits")!] as const]);
  const wanted = only ?? tuned.trained;
  const parameters = inOrder(outputs.values()).filter((value) => value.op === "weight" && wanted.has(sourceName(value)));
  const gradients: Value[] = differentiate(outputs.get("loss")!, parameters);
  parameters.forEach((value, i) => outputs.set(`gradient/${sourceName(value)}`, gradients[i]!));
  const graph: Graph = { outputs };
  verifyGraph(graph, opRules);
  const loaded = await backend.load({ main: graph }, tuned.weights, { caps: packed.symbols });
  const found = await loaded.run({ program: "main", symbols: packed.symbols, inputs: neededBy(graph, packed.inputs) });
  await loaded.dispose();
  return {
    loss: found["loss"]![0]!,
    logits: found["logits"] as Float32Array,
    gradients: new Map(parameters.map((value) => [sourceName(value), found[`gradient/${sourceName(value)}`] as Float32Array])),
  };
}

/** Those of the inputs that the graph has. */
export function neededBy(graph: Graph, inputs: Inputs): Inputs {
  const names = new Set(valuesOf(graph).flatMap((value) => (value.op === "input" ? [sourceName(value)] : [])));
  return Object.fromEntries(Object.entries(inputs).filter(([name]) => names.has(name)));
}
