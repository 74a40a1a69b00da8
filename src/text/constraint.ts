/** Constraints on what a model may write, and their compilation to masks over the vocabulary. */
import { FrugalError } from "../tensor/error.ts";
import { startCompiling } from "./constraint/compiling.ts";
import { sharedMatching, type StartOptions, type TokenMatcher } from "./constraint/matcher.ts";
import { type TokenTries, tokenTries } from "./constraint/token-trie.ts";
import type { Tokenizer } from "./tokenizer.ts";

export type { StartOptions, TokenMatcher } from "./constraint/matcher.ts";

/** What a text must be. */
export type Constraint =
  /** A JSON object, whatever is in it. */
  | { readonly kind: "json" }
  /** JSON that fulfils a schema (2020-12, as docs/constrained-output.md says), members in the schema's order. */
  | { readonly kind: "json-schema"; readonly schema: unknown }
  /** The whole text matches a regular expression of JavaScript's (unicode mode), without back references, lookbehind and word edges, with lookahead at its start. */
  | { readonly kind: "regex"; readonly pattern: string }
  /** One of these texts. */
  | { readonly kind: "choice"; readonly choices: readonly string[] }
  /** A grammar in llama.cpp's GBNF. */
  | { readonly kind: "grammar"; readonly grammar: string };

export interface CompiledConstraint {
  /** A matcher for one text. */
  start(options?: StartOptions): TokenMatcher;
  /** What the compiled form takes in memory; masks, at most 4 MB, come on top of it. */
  readonly bytes: number;
}

export interface ConstraintLimits {
  /** What compiling may take. Default 5,000. */
  readonly timeoutMilliseconds?: number;
  /** Most bytes of a compiled constraint. Default 64 MB. */
  readonly maxBytes?: number;
  /** How many compiled constraints are kept for the next text. Default 32. */
  readonly cached?: number;
}

export interface ConstraintCompiler {
  /**
   * Compiles, or answers what it compiled before. @throws FRUGAL_BAD_ARGUMENT for a malformed constraint or one beyond the limits,
   * FRUGAL_UNSUPPORTED naming what cannot be enforced, FRUGAL_DISPOSED, or the signal's reason.
   */
  compile(constraint: Constraint, signal?: AbortSignal): Promise<CompiledConstraint>;
  dispose(): Promise<void>;
}

const longest = 1_100_000;

/**
 * A compiler for one vocabulary. Nothing is done before the first `compile`, which also brings the vocabulary into a form that masks are made
 * from: 0.8 s and 20 MB for 262,144 tokens.
 * @param vocabularySize logits there are for each token; those beyond the tokenizer's own are never allowed.
 * @param endIds ids that end a text: allowed where the text fulfils the constraint.
 */
export function createConstraintCompiler(
  tokenizer: Tokenizer,
  vocabularySize: number,
  endIds: readonly number[],
  limits: ConstraintLimits = {},
): ConstraintCompiler {
  const { timeoutMilliseconds = 5_000, maxBytes = 64 << 20, cached = 32 } = limits;
  const compiling = startCompiling();
  const known = new Map<string, Promise<CompiledConstraint>>();
  const ends = new Set([...endIds, ...tokenizer.endOfGeneration]);
  let tries: Promise<TokenTries> | undefined;
  let disposed = false;

  const compiled = async (constraint: Constraint): Promise<CompiledConstraint> => {
    const automaton = await compiling.compile({ constraint, milliseconds: timeoutMilliseconds });
    const bytes = Object.values(automaton).reduce(
      (sum: number, part: unknown) => sum + (ArrayBuffer.isView(part) ? part.byteLength : 0),
      0,
    );
    if (bytes > maxBytes)
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `constraint: takes ${bytes} bytes, more than ${maxBytes}; make it simpler`, {
        bytes,
        maxBytes,
      });
    tries ??= tokenTries(tokenizer, vocabularySize, (id) => ends.has(id) || tokenizer.isSpecial(id));
    return { start: sharedMatching(automaton, await tries, [...ends]), bytes };
  };

  return {
    async compile(constraint, signal) {
      signal?.throwIfAborted();
      if (disposed) throw new FrugalError("FRUGAL_DISPOSED", "constraint: the compiler has been disposed; make another");
      const key = keyOf(constraint);
      const found = known.get(key) ?? compiled(constraint);
      known.delete(key);
      known.set(key, found);
      if (known.size > cached) known.delete(known.keys().next().value!);
      // What failed is not kept: the next may have more time.
      found.catch(() => known.get(key) === found && known.delete(key));
      return signal === undefined ? found : untilAborted(found, signal);
    },
    async dispose() {
      disposed = true;
      known.clear();
      await compiling.dispose();
    },
  };
}

/** The constraint as text: what it is cached by. */
function keyOf(constraint: Constraint): string {
  let key: string | undefined;
  try {
    key = JSON.stringify(constraint);
  } catch (error) {
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `constraint: cannot be written as JSON (${String(error).slice(0, 200)}); give plain data`);
  }
  if (key === undefined || !key.startsWith("{"))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `constraint: is ${String(key).slice(0, 80)}; give an object with a kind`);
  if (key.length <= longest) return key;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `constraint: has ${key.length} characters, more than ${longest}; make it smaller`, {
    length: key.length,
  });
}

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
