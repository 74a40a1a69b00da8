/** What is asked of the engine, and what the engine knows of it while it runs. */
import type { Holder } from "./cache-keeper.ts";
import type { Demand } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";
import type { DecodeStrategy } from "./strategy.ts";

/** What the reader of a row of logits wants next: another token (which it has put on the sequence), or nothing more. */
export type Verdict = "more" | "done";

export interface Request {
  readonly sequence: Sequence;
  /** Logits are read after every token from this position on; those of the last token always. */
  readonly readFrom: number;
  /**
   * Gets the logits that follow token `position`, in order, as its own to change until it returns, and the lowest id with the largest of them. After the sequence's last token it may push one more onto
   * the sequence and answer "more"; for the tokens before, the answer does not count.
   */
  read(position: number, logits: Float32Array, likeliest: number): Verdict;
  readonly signal?: AbortSignal | undefined;
  /** Lower goes first. Default 0. */
  readonly priority?: number | undefined;
  /** Tenants get equal shares where texts wait. Default: one tenant. */
  readonly tenant?: string | undefined;
  /** Texts of different namespaces share no keys and values: an adapter's content, a salt. */
  readonly namespace?: string | undefined;
  /** Whether it uses keys and values of earlier texts, and leaves its own to later ones. Default true. */
  readonly reuses?: boolean | undefined;
  /** Slot of its adapter. Default: none. */
  readonly adapter?: number | undefined;
  readonly strategy?: DecodeStrategy | undefined;
  /**
   * The likely choice of `read` at `position`, from a shortlist of the logits; undefined where nothing will follow it. Without this function
   * the whole row is needed before anything can be said.
   */
  readonly guess?: ((position: number, ids: Int32Array, logits: Float32Array) => number | undefined) | undefined;
  /** Called when it is scheduled for the first time. */
  readonly begun?: (() => void) | undefined;
}

export interface Running extends Request, Holder, Demand {
  readonly namespace: string;
  readonly reuses: boolean;
  readonly priority: number;
  readonly tenant: string;
  readonly arrived: number;
  /** It may hold pages, here or on disk. */
  admitted: boolean;
  hasBegun: boolean;
  ended: boolean;
  readonly finish: (outcome: { readonly error?: unknown }) => void;
}
