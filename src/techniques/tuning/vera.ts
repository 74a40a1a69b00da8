/**
 * VeRA — vector-based random matrix adaptation (Kopiczko et al. 2023, arXiv 2310.11454, equation 2): h = W x + Λb B Λd A x. A and B are
 * random, shared by all linears and never trained; each linear learns the two diagonals.
 *
 * Weights: `vera.A` [rank, largest inputs] and `vera.B` [largest outputs, rank], of which a linear takes its first columns and rows;
 * trained `NAME.veraD` [rank], at first `initial`, and `NAME.veraB` [outputs], at first 0. A and B begin even in ±√(6 / columns), as in PEFT.
 */
import type { Graph, Value } from "../../graph/value.ts";
import type { Builder } from "../../ops/op.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { withAdded } from "./added-weights.ts";
import { evenNumbers, filledWith } from "./initial-numbers.ts";
import { checkLowRank, type LowRankOptions, positiveNumber } from "./low-rank.ts";
import { chooseLinears, type LinearSite, rewriteLinears } from "./targets.ts";

export interface VeraOptions extends Pick<LowRankOptions, "targets" | "dropout"> {
  /** Of the shared matrices; 256 where absent. */
  readonly rank?: number | undefined;
  /** First numbers of each `veraD`; 0.1 where absent. */
  readonly initial?: number | undefined;
}

export function vera(options: VeraOptions = {}): TuningTechnique {
  checkLowRank("vera", options, ["initial"], ["alpha", "rankPattern", "alphaPattern", "scaling"]);
  const { rank = 256, initial = 0.1, targets = "all-linear" } = options;
  positiveNumber("vera", "initial", initial);
  const serve = (graph: Graph): Graph => {
    const chosen = chooseLinears(graph, targets, "vera");
    const inputs = Math.max(...chosen.map((linear) => linear.inputs));
    const outputs = Math.max(...chosen.map((linear) => linear.outputs));
    const names = chosen.map(({ name }) => name);
    return rewriteLinears(graph, names, (b, site) => adapted(b, site, { rank, inputs, outputs }));
  };
  return {
    name: "vera",
    paper: {
      title: "VeRA: Vector-based Random Matrix Adaptation",
      authors: "Dawid J. Kopiczko, Tijmen Blankevoort, Yuki M. Asano",
      year: 2023,
      url: "https://arxiv.org/abs/2310.11454",
    },
    survey: "4.2 tuning: re-parameterised",
    changes: "graph",
    serve,
    async apply(model, { seed }) {
      if (model.weights.has("vera.A"))
        throw new FrugalError("FRUGAL_BAD_ARGUMENT", "vera: the model has its shared matrices already; apply the technique once");
      const tuned = withAdded(model, serve(model.graph), "vera", (name, shape) => {
        if (name.endsWith(".veraD")) return filledWith(shape, initial);
        return name.endsWith(".veraB") ? filledWith(shape, 0) : evenNumbers(seed, name, shape, Math.sqrt(6 / shape[1]!));
      });
      return { ...tuned, trained: new Set([...tuned.trained].filter((name) => name !== "vera.A" && name !== "vera.B")) };
    },
  };
}

interface SharedSizes {
  readonly rank: number;
  readonly inputs: number;
  readonly outputs: number;
}

function adapted(b: Builder, { name, x, y, inputs, outputs }: LinearSite, shared: SharedSizes): Value {
  const [A, B] = [b.weight("vera.A", [shared.rank, shared.inputs]), b.weight("vera.B", [shared.outputs, shared.rank])];
  const columns = inputs === shared.inputs ? A : b.slice(A, { axis: 1, start: 0, length: inputs });
  const rows = outputs === shared.outputs ? B : b.slice(B, { axis: 0, start: 0, length: outputs });
  const few = b.mul(b.matmul(x, columns), b.weight(`${name}.veraD`, [shared.rank]));
  return b.add(y, b.mul(b.matmul(few, rows), b.weight(`${name}.veraB`, [outputs])));
}
