/**
 * Prompt lookup decoding (Saxena 2023): what followed the last tokens where they stood before is proposed to follow them again. No model is
 * asked, so it costs microseconds; it pays where texts repeat: edits, summaries, code, quotations.
 *
 * The places where each run of `shortest` tokens ends are chained, latest first, as in LZ77; of the latest places on the chain the one whose
 * tokens before it agree longest wins.
 */
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions, wholeNumber } from "../../tensor/options.ts";
import type { DecodingTechnique } from "./technique.ts";

export interface PromptLookupOptions {
  /** Fewest last tokens that must have stood together before. Default 2. */
  readonly shortest?: number;
  /** Agreement beyond so many tokens counts no more. Default 16. */
  readonly longest?: number;
  /** Of places that agree equally long: the latest one, or the latest with the most frequent next token. Default "recent". */
  readonly choose?: "recent" | "frequent";
  /** Places looked at, latest first. Default 64. */
  readonly places?: number;
}

/** Throws FRUGAL_BAD_ARGUMENT for options that it does not have or that make no sense. */
export function promptLookup(options: PromptLookupOptions = {}): DecodingTechnique {
  checkOptions("prompt-lookup", options, ["shortest", "longest", "choose", "places"]);
  const { shortest = 2, longest = Math.max(16, shortest), choose = "recent", places = 64 } = options;
  wholeNumber("prompt-lookup", "shortest", shortest, 1);
  wholeNumber("prompt-lookup", "longest", longest, shortest);
  wholeNumber("prompt-lookup", "places", places, 1);
  if (choose !== "recent" && choose !== "frequent")
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `prompt-lookup: choose is ${JSON.stringify(choose)}; it may be recent or frequent`, {
      choose,
    });
  return {
    name: "prompt-lookup",
    paper: {
      title: "Prompt Lookup Decoding",
      authors: "Apoorv Saxena",
      year: 2023,
      url: "https://github.com/apoorvumang/prompt-lookup-decoding",
    },
    survey: "4.3 inference: opportunistic decoding",
    changes: "schedule",
    start() {
      const index = createIndex(shortest);
      return {
        propose(tokens, most) {
          index.extend(tokens);
          const place = bestPlace(tokens, index.places(tokens), { shortest, longest, choose, places });
          return place === undefined ? [] : following(tokens, place, most);
        },
        judged() {},
      };
    },
  };
}

interface Index {
  /** Learns the tokens that are new since the last call. */
  extend(tokens: readonly number[]): void;
  /** Where the last tokens stood before, latest first: positions of the token after. Runs with the same hash are among them. */
  places(tokens: readonly number[]): Generator<number>;
}

function createIndex(shortest: number): Index {
  const latest = new Map<number, number>();
  /** By the position after a run: the position after the run with its hash before it, 0 where there is none. */
  const before: number[] = [];
  const hash = (tokens: readonly number[], end: number): number => {
    let value = 0;
    for (let i = end - shortest; i < end; i++) value = (Math.imul(value, 0x9e3779b1) + tokens[i]! + 1) | 0;
    return value;
  };
  return {
    extend(tokens) {
      // A text that became shorter is another text.
      if (tokens.length < before.length) {
        latest.clear();
        before.length = 0;
      }
      // The last run is left out: nothing follows it yet.
      for (let end = before.length; end < tokens.length; end++) {
        if (end < shortest) {
          before.push(0);
          continue;
        }
        const key = hash(tokens, end);
        before.push(latest.get(key) ?? 0);
        latest.set(key, end);
      }
    },
    *places(tokens) {
      if (tokens.length < shortest) return;
      for (let place = latest.get(hash(tokens, tokens.length)) ?? 0; place > 0; place = before[place]!) yield place;
    },
  };
}

function bestPlace(
  tokens: readonly number[],
  candidates: Iterable<number>,
  { shortest, longest, choose, places }: Required<PromptLookupOptions>,
): number | undefined {
  let [best, bestLength] = [undefined as number | undefined, 0];
  const counts = new Map<number, { count: number; readonly place: number }>();
  let left = places;
  for (const place of candidates) {
    if (left-- === 0) break;
    let length = 0;
    while (length < longest && length < place && tokens[place - 1 - length] === tokens[tokens.length - 1 - length]) length++;
    if (length < shortest || length < bestLength) continue;
    if (length > bestLength) {
      [best, bestLength] = [place, length];
      counts.clear();
    }
    if (choose === "recent") {
      if (length === longest) break;
      continue;
    }
    const entry = counts.get(tokens[place]!);
    if (entry === undefined) counts.set(tokens[place]!, { count: 1, place });
    else entry.count++;
  }
  if (choose === "recent") return best;
  return [...counts.values()].reduce((most, entry) => (entry.count > most.count ? entry : most), { count: 0, place: best }).place;
}

/** What follows `place`; a run that reaches the end goes on with itself, as a repetition does. */
function following(tokens: readonly number[], place: number, most: number): number[] {
  const proposed: number[] = [];
  for (let i = place; proposed.length < most; i++) proposed.push(i < tokens.length ? tokens[i]! : proposed[i - tokens.length]!);
  return proposed;
}
