/**
 * A grammar as a recursive transition network over bytes (Woods 1970): nodes with edges by byte, calls of rules, and counted repetitions whose
 * counters live in the stack, so that a string of up to 100,000 characters takes as many nodes as one of two. Plain arrays: they go from the
 * thread that compiles to the one that writes.
 */

export const read = 0;
export const pass = 1;
export const call = 2;
export const end = 3;
export const enter = 4;
export const turn = 5;

export interface Automaton {
  /**
   * What each node does: `read` a byte by its edges; `pass` to its targets; `call` the rule at its first target and go on at the second;
   * `end` its rule; `enter` the repetition that its target numbers; end one `turn` of a repetition.
   */
  readonly kinds: Uint8Array;
  /** Where each node's numbers begin in `numbers`, and one past the last node's: low, high and target of edges, or targets. */
  readonly from: Int32Array;
  readonly numbers: Int32Array;
  /** Of each repetition four numbers: its body's first node (-1 where the body matches nothing), least, most (-1 without end), the node after. */
  readonly repeats: Int32Array;
  /** Repetitions whose body reads any plain character. */
  readonly plainRepeats: Uint8Array;
  /** Nodes from which any plain character leads back to them. */
  readonly plainNodes: Uint8Array;
  readonly start: number;
}

/** A network being built; `build-automaton.ts` does it. */
export interface Draft {
  readonly kinds: number[];
  readonly numbers: number[][];
  readonly repeats: { body: number; readonly least: number; readonly most: number; readonly after: number; readonly plain: boolean }[];
  readonly plainNodes: number[];
}
