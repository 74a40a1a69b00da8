/**
 * Bottleneck adapters (Houlsby et al. 2019, arXiv 1902.00751): after the attention and after the feed-forward part of each layer,
 * y ← y + up(f(down(y))), and norms are trained too. At first up is zero but for small noise, so the model begins nearly unchanged.
 *
 * Weights: see bottleneck.ts.
 */
import type { Graph } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { withAdded } from "./added-weights.ts";
import { type AdapterOptions, atParts, bottleneck, checkAdapterOptions } from "./bottleneck.ts";
import { normalNumbers, zeros } from "./initial-numbers.ts";
import { normNames } from "./norm-names.ts";

export interface SerialAdapterOptions extends AdapterOptions {
  /** Standard deviation of the first numbers; 0.01 where absent. */
  readonly deviation?: number | undefined;
  /** Whether the model's norms are trained too, as in the paper; true where absent. */
  readonly norms?: boolean | undefined;
}

/** Size 64, activation gelu, both places where the options do not say. */
export function serialAdapters(options: SerialAdapterOptions = {}): TuningTechnique {
  const technique = "adapters";
  checkOptions(technique, options, ["size", "activation", "places", "deviation", "norms"]);
  checkAdapterOptions(technique, options);
  const { size = 64, activation = "gelu", places = ["attention", "mlp"], deviation = 0.01, norms = true } = options;
  if (!Number.isFinite(deviation) || deviation < 0)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: deviation is ${String(deviation)}; give a number from 0 on`, {
      option: "deviation",
    });
  const serve = (graph: Graph): Graph =>
    atParts(graph, technique, places, (b, name, y) => b.add(y, bottleneck(b, name, y, size, activation)));
  return {
    name: "adapters",
    paper: {
      title: "Parameter-Efficient Transfer Learning for NLP",
      authors:
        "Neil Houlsby, Andrei Giurgiu, Stanislaw Jastrzebski, Bruna Morrone, Quentin de Laroussilhe, Andrea Gesmundo, Mona Attariyan, Sylvain Gelly",
      year: 2019,
      url: "https://arxiv.org/abs/1902.00751",
    },
    survey: "4.2 tuning: additive",
    changes: "graph",
    serve,
    async apply(model, { seed }) {
      const made = withAdded(model, serve(model.graph), technique, (name, shape) =>
        name.endsWith(".bias") ? zeros(shape) : normalNumbers(seed, name, shape, deviation),
      );
      return norms ? { ...made, trained: new Set([...made.trained, ...normNames(model.graph)]) } : made;
    },
  };
}
