/**
 * A training step in stages: the forward pass is cut where one value alone carries everything on, and each stage goes forward again from its
 * cut and back. A stage's gradients are known, and may travel, while the next stage computes; and no more than those of two stages are ever held.
 * Costs the forward pass of all stages but the last once more, as recomputation does (transforms/recompute.ts), and saves its memory too.
 */
import type { Inputs, LoadedModel, Outputs } from "../../backends/backend.ts";
import { rewrite } from "../../graph/rewrite.ts";
import { type Graph, inOrder, sourceName, sourceOps, type Value, valuesOf } from "../../graph/value.ts";
import { createBuilder } from "../../ops/builder.ts";
import { differentiate } from "../../transforms/differentiate.ts";
import { recomputedSets } from "../../transforms/recompute.ts";
import type { Batch } from "../batch.ts";
import { gradientName } from "../programs.ts";
import { runBatch } from "../stepper.ts";
import type { GradientSource } from "./gradients.ts";

/** What a stage gets from the one before, and what it gives back to it. */
const [carried, slope] = ["carried", "slope"] as const;

/** Where a pass is cut hardly depends on its sizes. */
const usualSizes = { T: 512, S: 1, C: 0, R: 512 };

/** Values that carry everything on, in order: at most `stages - 1`. */
export function stageCuts(loss: Value, stages: number): Value[] {
  const order = inOrder([loss]).filter(({ op }) => !sourceOps.includes(op));
  return recomputedSets(loss, usualSizes, stages).flatMap((set) => order[order.findLastIndex((value) => set.has(value)) + 1] ?? []);
}

interface Stage {
  /** Parameters that it uses. */
  readonly parameters: readonly string[];
  /** Those whose gradients are whole after it. */
  readonly known: readonly string[];
  readonly program: string;
}

/** `forward` has the output `loss`; gradients of `parameters` are outputs of the stages' programs. Fewer stages where there are fewer cuts. */
export function stagedGradients(forward: Graph, parameters: readonly string[], stages: number): GradientSource {
  const loss = forward.outputs.get("loss")!;
  const cuts = stageCuts(loss, stages);
  const graphs: Record<string, Graph> = {};
  const made: Stage[] = [];
  const seen = new Set<string>();
  // Backwards: a parameter that several stages share is known after the first of them.
  for (let i = cuts.length; i >= 0; i--) {
    const { graph, used } = stageGraph(loss, cuts[i - 1], cuts[i], parameters);
    graphs[`stage${i}`] = graph;
    made.unshift({ parameters: used, known: [], program: `stage${i}` });
  }
  for (const [i, stage] of made.entries()) {
    const known = stage.parameters.filter((name) => !seen.has(name));
    known.forEach((name) => seen.add(name));
    made[i] = { ...stage, known };
  }
  if (cuts.length > 0) graphs["forward"] = { outputs: new Map(cuts.map((cut, i) => [`cut${i}`, cut])) };
  const order = made.toReversed().flatMap(({ known }) => known);
  const held = new Map<string, Float32Array>();
  let most = 0;
  const keep = (name: string, gradient: Float32Array): void => {
    const sum = held.get(name);
    if (sum === undefined) held.set(name, gradient);
    else gradient.forEach((v, i) => (sum[i]! += v));
    most = Math.max(
      most,
      [...held.values()].reduce((bytes, { byteLength }) => bytes + byteLength, 0),
    );
  };

  return {
    graphs,
    parameters: order,
    get bytes() {
      return most;
    },
    async run(loaded, batches, known) {
      held.clear();
      const passed = await Promise.all(
        batches.map((batch) => (cuts.length > 0 ? runBatch(loaded, "forward", batch, {}) : ({} as Outputs))),
      );
      const slopes: (Float32Array | undefined)[] = batches.map(() => undefined);
      let total = 0;
      let sent: Promise<void> = Promise.resolve();
      for (const [i, stage] of [...made.entries()].toReversed()) {
        for (const [at, batch] of batches.entries()) {
          const outputs = await runStage(loaded, stage, batch, passed[at]![`cut${i - 1}`], slopes[at]);
          slopes[at] = outputs[slope];
          if (i === made.length - 1) total += outputs["loss"]![0]!;
          for (const name of stage.parameters) keep(name, outputs[gradientName(name)]!);
        }
        // While a stage's gradients travel the next one computes, but no further.
        await sent;
        sent = Promise.all(stage.known.map(known)).then(() => undefined);
        sent.catch(() => undefined); // awaited after the next stage, or by whoever sums
      }
      return total;
    },
    async read(_, parameter, into) {
      const gradient = held.get(parameter);
      held.delete(parameter);
      if (gradient === undefined) into.fill(0);
      else into.set(gradient);
    },
  };
}

async function runStage(
  loaded: LoadedModel,
  { program }: Stage,
  batch: Batch,
  before: Inputs[string] | undefined,
  after: Float32Array | undefined,
): Promise<Readonly<Record<string, Float32Array>>> {
  const more = { ...(before === undefined ? {} : { [carried]: before }), ...(after === undefined ? {} : { [slope]: after }) };
  return (await runBatch(loaded, program, batch, more)) as Record<string, Float32Array>;
}

/** From `start` (the inputs, where absent) to `end` (the loss) and back: gradients of the parameters it uses, and of `start`. */
function stageGraph(
  loss: Value,
  start: Value | undefined,
  end: Value | undefined,
  parameters: readonly string[],
): { readonly graph: Graph; readonly used: readonly string[] } {
  const sources = createBuilder();
  const entry = start === undefined ? undefined : sources.input(carried, { shape: start.shape, type: "f32" });
  const part = rewrite({ outputs: new Map([["end", end ?? loss]]) }, (value, original) => (original === start ? entry! : value));
  const result = part.outputs.get("end")!;
  const order = valuesOf(part);
  const weights = order.filter((value) => value.op === "weight" && parameters.includes(sourceName(value)));
  const b = createBuilder((value) => order.push(value));
  const seed = end === undefined ? undefined : sources.input(slope, { shape: end.shape, type: "f32" });
  const gradients = differentiate(result, [...weights, ...(entry === undefined ? [] : [entry])], { builder: b, seed });
  const outputs = new Map(weights.map((value, i) => [gradientName(sourceName(value)), gradients[i]!]));
  if (entry !== undefined) outputs.set(slope, gradients.at(-1)!);
  if (end === undefined) outputs.set("loss", result);
  return { graph: { outputs, order }, used: weights.map(sourceName) };
}
