/** What a model family must say: which checkpoints are its, what their configuration means, where their weights are, and its graph. */
import type { Weights } from "../backends/backend.ts";
import type { GgufValueType } from "../formats/gguf/values.ts";
import type { Pooling } from "../formats/pooling.ts";
import type { Graph } from "../graph/value.ts";
import type { Metadata } from "../tensor/strings.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import type { Places, TensorMaker } from "./weights-finder.ts";

/** A checkpoint as it was opened, whatever the file format. */
export type Checkpoint =
  | {
      readonly kind: "huggingface";
      readonly name: string;
      readonly config: Readonly<Record<string, unknown>>;
      readonly tensors: ReadonlyMap<string, StoredTensor>;
      /** Of a sentence-transformers directory. */
      readonly pooling?: Pooling;
      /** Of a model that begins anew (models/untrained.ts): gives the tensors that the configuration asks for. */
      readonly make?: TensorMaker;
    }
  | {
      readonly kind: "gguf";
      readonly name: string;
      readonly metadata: Metadata;
      /** How each key of `metadata` was stored, so that it can be written as it was. */
      readonly types?: ReadonlyMap<string, GgufValueType>;
      readonly tensors: ReadonlyMap<string, StoredTensor>;
    };

export interface ModelFamily {
  readonly name: string;
  /** Values of `model_type` in config.json. */
  readonly modelTypes: readonly string[];
  /** Values of `general.architecture` in GGUF. */
  readonly ggufArchitectures: readonly string[];
  /** Reads the configuration and finds the weights; throws FRUGAL_BAD_CONFIG or FRUGAL_NOT_FOUND naming key or tensor. */
  open(checkpoint: Checkpoint): Model;
}

export interface GraphOptions {
  /**
   * Longest sequence the graphs will see, where it is not the model's: rotary scalings "dynamic" and "longrope" depend on it, and which
   * layers have a page table of their own.
   */
  readonly contextLength?: number;
}

export type PositionRule = (ids: Int32Array, kept: readonly boolean[]) => Int32Array;

/** A model ready to be loaded by a backend. */
export interface Model {
  readonly family: string;
  readonly parameters: number;
  readonly vocabularySize: number;
  /** Longest sequence it was made for. */
  readonly contextLength: number;
  /** Whether it can read no longer one: its positions are rows of a table. */
  readonly isBounded: boolean;
  /** "text" writes tokens and keeps a cache; "encoder" reads whole sequences and gives vectors. */
  readonly kind: "text" | "encoder";
  readonly layers: number;
  /** Width of embeddings an encoder gives. */
  readonly embeddingSize: number;
  readonly weights: Weights;
  /** Where files in Hugging Face layout have the weights, whatever this one was opened from; and the start of names that some of them lack. */
  readonly huggingface: { readonly places: Places; readonly basePrefix: string };
  readonly fileKind: Checkpoint["kind"];
  /** Where this file has them. */
  readonly places: Places;
  /**
   * The positions of a row's tokens, where the original counts something else than columns: the tokens that the mask keeps, or those that
   * are no padding. `kept` says of each token whether the mask keeps it.
   */
  readonly positionsOf?: PositionRule | undefined;
  /** For messages and `inspect`: the configuration as understood. */
  readonly summary: Readonly<Record<string, string | number | boolean>>;
  /**
   * The graphs, by name of the program. A text model has
   *   `generate`: inputs tokens [T], positions [T], rowOffsets [S+1], contextLengths [S], pageTable [S, C], outputRows [R] (all i32)
   *               (and in place of pageTable or beside it pageTable.W [S, C] of layers with a sliding window of W tokens, where sequences may
   *               be twice as long: its pages before the window are never touched, and may be given as 0)
   *               -> logits [R, vocabulary], likeliest [R] (i32: the lowest id with the largest logit), and hidden [R, width] before the output head;
   *   `score`: inputs tokens [T], positions [T], rowOffsets [S+1], outputRows [R] -> the same without a cache, differentiable.
   * An encoder has
   *   `embed`: tokens [T], positions [T], segments [T], rowOffsets [S+1] -> lastHiddenState [T, width], embeddings [S, width],
   *            and poolerOutput [S, width] and logits [S, labels] where the checkpoint has a pooler and a classifier of sequences.
   * A graph lacks inputs that its family has no use for: positions where they are a bias on scores, segments where there are none.
   * Weight names are the same in all of them.
   */
  graphs(options?: GraphOptions): Readonly<Record<string, Graph>>;
}
