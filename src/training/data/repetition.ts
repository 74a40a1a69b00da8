/** How much a text repeats itself: Rae et al. 2021, https://arxiv.org/abs/2112.11446, table A1. */
import type { ParsedText, QualityRule } from "./quality.ts";

/** The share of parts that were there before; and the share of characters in them. */
function repeated(parts: readonly string[]): { readonly parts: number; readonly characters: number } {
  const seen = new Set<string>();
  let [again, characters, all] = [0, 0, 0];
  for (const part of parts.map((each) => each.trim())) {
    all += part.length;
    if (seen.has(part)) {
      again++;
      characters += part.length;
    }
    seen.add(part);
  }
  return { parts: again / Math.max(1, parts.length), characters: characters / Math.max(1, all) };
}

const length = (words: readonly string[]): number => words.reduce((sum, word) => sum + word.length, 0);

/** Where each run of n words begins, by the run. */
function runs({ words }: ParsedText, n: number): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (let start = 0; start + n <= words.length; start++) {
    const run = words.slice(start, start + n).join(" ");
    const places = found.get(run);
    if (places === undefined) found.set(run, [start]);
    else places.push(start);
  }
  return found;
}

/** The share of characters in the run of n words that is there most often; 0 where none is there twice. Each character counts once. */
function topRun(text: ParsedText, n: number): number {
  let top: readonly number[] = [];
  let covered = 0;
  for (const places of runs(text, n).values()) {
    if (places.length < 2 || places.length < top.length) continue;
    const characters = coverage(text, places, n);
    if (places.length === top.length && characters <= covered) continue;
    [top, covered] = [places, characters];
  }
  return covered / Math.max(1, length(text.words));
}

/** The share of characters in runs of n words that are there more than once. Each character counts once. */
const repeatedRuns = (text: ParsedText, n: number): number =>
  coverage(text, [...runs(text, n).values()].filter((places) => places.length > 1).flat(), n) / Math.max(1, length(text.words));

/** Characters of the words in runs that begin at these places. */
function coverage({ words }: ParsedText, places: readonly number[], n: number): number {
  const covered = new Uint8Array(words.length);
  for (const start of places) covered.fill(1, start, start + n);
  return words.reduce((sum, word, i) => sum + covered[i]! * word.length, 0);
}

export const repetitionRules: readonly QualityRule[] = [
  { name: "repeated lines", measure: ({ lines }) => repeated(lines).parts, most: 0.3 },
  { name: "repeated paragraphs", measure: ({ paragraphs }) => repeated(paragraphs).parts, most: 0.3 },
  { name: "characters in repeated lines", measure: ({ lines }) => repeated(lines).characters, most: 0.2 },
  { name: "characters in repeated paragraphs", measure: ({ paragraphs }) => repeated(paragraphs).characters, most: 0.2 },
  ...[0.2, 0.18, 0.16].map((most, i) => ({
    name: `characters in the commonest run of ${i + 2} words`,
    measure: (text: ParsedText) => topRun(text, i + 2),
    most,
  })),
  ...[0.15, 0.14, 0.13, 0.12, 0.11, 0.1].map((most, i) => ({
    name: `characters in repeated runs of ${i + 5} words`,
    measure: (text: ParsedText) => repeatedRuns(text, i + 5),
    most,
  })),
];
