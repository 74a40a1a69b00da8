/** The contract of tuning techniques; `techniques/tuning/` has one file a paper. */
import type { Graph } from "../graph/value.ts";
import type { Trainable } from "./trainable.ts";

export interface Paper {
  readonly title: string;
  readonly authors: string;
  readonly year: number;
  readonly url: string;
}

export interface TuningTechnique {
  readonly name: string;
  readonly paper: Paper;
  /** Its path on the survey's map: "4.2 tuning: re-parameterised". */
  readonly survey: string;
  readonly changes: "graph" | "weights" | "schedule";
  /** What it was made with, for those who write down what was trained. */
  readonly options?: object;
  /** Throws FRUGAL_BAD_ARGUMENT for options that do not fit the model. `numbers` reads a weight of the model in f32. */
  apply(model: Trainable, context: TechniqueContext): Promise<Trainable>;
  /**
   * The same weights put into the graph that serves (`generate`), for a trained adapter: the graph's part of `apply` alone, where there is one.
   */
  readonly serve?: (graph: Graph) => Graph;
  /** Where a trained network makes learned rows: the graph, without inputs, of what it makes, by the names that adapters hold; from the tuned graph. */
  readonly rows?: (graph: Graph) => Graph;
}

export interface TechniqueContext {
  /** For random initial numbers: a function of seed and name alone. */
  readonly seed: number;
  /** The numbers of a weight of the model, decoded. */
  numbers(name: string): Promise<Float32Array>;
}
