/**
 * P-tuning (Liu et al. 2021, arXiv 2103.10385): a learned prompt that a small network makes: rows = W₃ relu(W₂ relu(W₁ e + b₁) + b₂) + b₃.
 * The network is the "MLP" of PEFT's prompt encoder; the paper's LSTM before it is left out.
 *
 * Weights: `prompt.encoder.embedding` [P, width], `prompt.encoder.first` [hidden, width], `prompt.encoder.second` [hidden, hidden],
 * `prompt.encoder.third` [width, hidden], each with `.bias`; in PEFT `embedding.weight` and `mlp_head.0`, `.2`, `.4`. A file of a trained
 * adapter holds the rows alone: `promptEncoderGraph` computes them, and prompt tuning reads them.
 */
import { linear } from "../../blocks/linear.ts";
import type { Graph, Value } from "../../graph/value.ts";
import { createBuilder } from "../../ops/builder.ts";
import type { Builder } from "../../ops/op.ts";
import { checkOptions, wholeNumber } from "../../tensor/options.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { withAdded } from "./added-weights.ts";
import { evenNumbers, normalNumbers, zeros } from "./initial-numbers.ts";
import { embeddingOf, withPrompt } from "./prompt-rows.ts";
import { checkVirtualTokens } from "./virtual-rows.ts";

export interface PTuningOptions {
  /** Learned rows in front of the text. */
  readonly virtualTokens: number;
  /** Channels inside the network; the width of embeddings where absent. */
  readonly hidden?: number | undefined;
}

export function pTuning(options: PTuningOptions): TuningTechnique {
  checkOptions("P-tuning", options, ["virtualTokens", "hidden"]);
  checkVirtualTokens("P-tuning", options.virtualTokens);
  wholeNumber("P-tuning", "hidden", options.hidden, 1, 1 << 20);
  const serve = (graph: Graph): Graph => withPrompt(graph, options.virtualTokens, "P-tuning", (b, width) => encodedRows(b, width, options));
  return {
    name: "p-tuning",
    paper: {
      title: "GPT Understands, Too",
      authors: "Xiao Liu, Yanan Zheng, Zhengxiao Du, Ming Ding, Yujie Qian, Zhilin Yang, Jie Tang",
      year: 2021,
      url: "https://arxiv.org/abs/2103.10385",
    },
    survey: "4.2 tuning: additive",
    changes: "graph",
    serve,
    rows(graph) {
      const width = embeddingOf(graph).shape[1] as number;
      return { outputs: new Map([["prompt.embedding", promptEncoderGraph(width, options).outputs.get("rows")!]]) };
    },
    async apply(model, { seed }) {
      const made = withAdded(model, serve(model.graph), "P-tuning", (name, shape) => {
        if (name.endsWith(".bias")) return zeros(shape);
        return name.endsWith(".embedding") ? normalNumbers(seed, name, shape, 1) : evenNumbers(seed, name, shape, shape[1]! ** -0.5);
      });
      return { ...made, virtualTokens: options.virtualTokens };
    },
  };
}

/** The rows of a trained encoder: -> `rows` [P, width]; no inputs. */
export function promptEncoderGraph(width: number, options: PTuningOptions): Graph {
  return { outputs: new Map([["rows", encodedRows(createBuilder(), width, options)]]) };
}

function encodedRows(b: Builder, width: number, { virtualTokens, hidden = width }: PTuningOptions): Value {
  const part = (name: string, x: Value, outputs: number): Value => linear(b, `prompt.encoder.${name}`, x, outputs, true);
  const first = b.activation(part("first", b.weight("prompt.encoder.embedding", [virtualTokens, width]), hidden), { kind: "relu" });
  const second = b.activation(part("second", first, hidden), { kind: "relu" });
  return part("third", second, width);
}
