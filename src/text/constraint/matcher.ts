/** Which tokens may come next, and what a token does to that: a compiled constraint at work on one text. */
import { FrugalError } from "../../tensor/error.ts";
import type { Automaton } from "./automaton.ts";
import { createStates, type States } from "./states.ts";
import type { TokenTrie, TokenTries } from "./token-trie.ts";

/** Follows one text, token by token. */
export interface TokenMatcher {
  /**
   * Which ids may come next: bit `id % 32` of word `id >> 5`. Ids that end the text are among them where it may end. Valid until `accept`; not
   * to be written to. @throws FRUGAL_BAD_ARGUMENT where the constraint is too ambiguous to be followed, FRUGAL_UNSUPPORTED where the text may not
   * end here and no token of the vocabulary goes on.
   */
  allowed(): Int32Array;
  /** @throws FRUGAL_BAD_ARGUMENT for an id that is not allowed. */
  accept(id: number): void;
  /** The text is whole and nothing may follow, or an id has ended it. */
  readonly over: boolean;
  /** Whether the text so far fulfils the constraint. */
  readonly complete: boolean;
  dispose(): void;
}

export interface StartOptions {
  /** The tokenizer leaves out a space at the very start of the text: then it counts as nothing. Default false. */
  readonly dropsFirstSpace?: boolean;
}

const mostMaskBytes = 4 << 20;
/** States beyond this are given up for the next text: they belong to texts that are written. */
const mostKept = 50_000;

/** What all texts under one constraint share: the states found so far and their masks. */
export function sharedMatching(
  automaton: Automaton,
  tries: TokenTries,
  endIds: readonly number[],
): (options?: StartOptions) => TokenMatcher {
  let states = createStates(automaton);
  let masks = maskCache(states, tries, endIds);
  return (options = {}) => {
    if (states.size() > mostKept) {
      states = createStates(automaton);
      masks = maskCache(states, tries, endIds);
    }
    return createMatcher(states, masks, tries, new Set(endIds), options.dropsFirstSpace ?? false);
  };
}

type MaskOf = (state: number, firstSpace: boolean) => Int32Array;

function createMatcher(
  states: States,
  maskOf: MaskOf,
  { text, offsets, size }: TokenTries,
  endIds: ReadonlySet<number>,
  drops: boolean,
): TokenMatcher {
  let state = states.start;
  let first = drops;
  let ended = false;
  const refuse = (id: number): FrugalError =>
    new FrugalError("FRUGAL_BAD_ARGUMENT", `constraint: token ${id} is not allowed here; choose among allowed()`, { id });
  return {
    allowed: () => maskOf(state, first),
    accept(id) {
      if (ended || !Number.isInteger(id) || id < 0 || id >= size) throw refuse(id);
      if (endIds.has(id)) {
        if (!states.accepts(state)) throw refuse(id);
        ended = true;
        return;
      }
      states.rest();
      let at = offsets[id] ?? 0;
      const end = offsets[id + 1] ?? at;
      if (at === end) throw refuse(id);
      if (first && text[at] === 0x20) at++;
      let next = state;
      while (at < end && next > 0) next = states.step(next, text[at++]!);
      if (next < 0) throw refuse(id);
      state = next;
      first = false;
    },
    get over() {
      return ended || states.isOver(state);
    },
    get complete() {
      return ended || states.accepts(state);
    },
    dispose() {},
  };
}

function maskCache(states: States, tries: TokenTries, endIds: readonly number[]): MaskOf {
  const kept = new Map<number, Int32Array>();
  const words = (tries.size + 31) >> 5;
  const most = Math.max(2, Math.floor(mostMaskBytes / (4 * words)));
  const path = new Int32Array(tries.deepest + 1);
  return (state, firstSpace) => {
    // States are positive; the first token's mask may differ from that of the same state later.
    const key = firstSpace ? -state : state;
    const found = kept.get(key);
    if (found !== undefined) {
      kept.delete(key);
      kept.set(key, found);
      return found;
    }
    states.rest();
    const mask = makeMask(states, tries, state, firstSpace, path);
    if (states.accepts(state)) for (const id of endIds) if (id < tries.size) mask[id >> 5]! |= 1 << (id & 31);
    if (!states.accepts(state) && mask.every((word) => word === 0))
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        "constraint: no token of this model's vocabulary can go on from here; allow other texts too",
      );
    if (kept.size >= most) kept.delete(kept.keys().next().value!);
    kept.set(key, mask);
    return mask;
  };
}

function makeMask(states: States, tries: TokenTries, state: number, firstSpace: boolean, path: Int32Array): Int32Array {
  const { plainMasks, plain, other, twins } = tries;
  const last = plainMasks.length - 1;
  const count = firstSpace ? 0 : states.plainCharacters(state);
  const mask = plainMasks[Math.min(count, last)]!.slice();
  // Inside a string all plain tokens are allowed, up to its limit; only where a text may also go on in other ways are they all looked at.
  if (count < last && (count === 0 || !states.plainOnly(state))) walk(plain, states, state, firstSpace, twins, mask, path);
  walk(other, states, state, firstSpace, twins, mask, path);
  return mask;
}

function walk(
  trie: TokenTrie,
  states: States,
  state: number,
  firstSpace: boolean,
  twins: Int32Array,
  mask: Int32Array,
  path: Int32Array,
): void {
  const { bytes, depths, ends, tokens } = trie;
  const { classOf, classes } = states;
  let table = states.table;
  path[0] = state;
  for (let at = 0; at < bytes.length;) {
    const depth = depths[at]!;
    const byte = bytes[at]!;
    const before = path[depth - 1]!;
    let to = table[before * classes + classOf[byte]!]!;
    if (to === 0) {
      to = states.step(before, byte);
      table = states.table;
    }
    if (firstSpace && depth === 1 && byte === 0x20) to = state;
    if (to < 0) {
      at = ends[at]!;
      continue;
    }
    path[depth] = to;
    for (let id = tokens[at]!; id >= 0; id = twins[id]!) mask[id >> 5]! |= 1 << (id & 31);
    at++;
  }
}
