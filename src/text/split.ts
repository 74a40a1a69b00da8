/** Cutting text with patterns: what to do with a match, and patterns that know a faster way than a regular expression. */
import * as patterns from "./patterns.ts";
import { textPattern, type TextPattern } from "./regex.ts";

/** What becomes of a match, in tokenizer.json's words. */
export type Behaviour = "Removed" | "Isolated" | "MergedWithPrevious" | "MergedWithNext" | "Contiguous";

/** A pattern of a file: known ones run fast, others under a limit of steps. */
export function patternOf(source: string): TextPattern {
  if (source === patterns.digitGroups) return groupedDigits(false);
  if (source === patterns.digitGroupsAtEdges) return groupedDigits(true);
  const known = patterns.respelled.get(source) ?? source;
  return textPattern(known, Object.values<unknown>(patterns).includes(known));
}

/** A pattern that is these characters and nothing else. */
export function literalPattern(literal: string): TextPattern {
  const spans = (text: string): number[] => {
    const found: number[] = [];
    if (literal === "") return found;
    for (let at = text.indexOf(literal); at >= 0; at = text.indexOf(literal, at + literal.length)) found.push(at, at + literal.length);
    return found;
  };
  return { spans, cut: (text) => splitAt(text, spans(text), "Isolated", false) };
}

/** Calls `onWord` with every match and every stretch between matches. */
export function patternSplitter(source: string): (text: string, onWord: (word: string) => void) => void {
  const pattern = patternOf(source);
  return (text, onWord) => {
    for (const word of pattern.cut(text)) if (word !== "") onWord(word);
  };
}

/** Cuts `text` at `spans` (starts and ends, ascending) and treats the matches as `behaviour` says; `invert` swaps matches and the rest. */
export function splitAt(text: string, spans: readonly number[], behaviour: Behaviour, invert: boolean): string[] {
  const parts: { start: number; end: number; match: boolean }[] = [];
  let at = 0;
  for (let i = 0; i < spans.length; i += 2) {
    const [start, end] = [spans[i]!, spans[i + 1]!];
    if (start > at) parts.push({ start: at, end: start, match: invert });
    if (end > start) parts.push({ start, end, match: !invert });
    at = end;
  }
  if (at < text.length) parts.push({ start: at, end: text.length, match: invert });
  const words: { start: number; end: number }[] = [];
  let before: boolean | undefined; // whether the part before was a match
  for (const { start, end, match } of parts) {
    const last = words.at(-1);
    if (behaviour === "Removed") {
      if (!match) words.push({ start, end });
    } else if (behaviour === "MergedWithPrevious" ? match && before === false : behaviour === "Contiguous" && match === before) {
      if (last === undefined) words.push({ start, end });
      else last.end = end;
    } else if (behaviour === "MergedWithNext" && !match && before === true && last !== undefined) {
      last.end = end;
    } else {
      words.push({ start, end });
    }
    before = match;
  }
  return words.map(({ start, end }) => text.slice(start, end));
}

/** Runs of digits in groups of three from the right; where `atEdges`, only runs that no word character follows. A regular expression for it is quadratic. */
function groupedDigits(atEdges: boolean): TextPattern {
  const run = atEdges ? /\p{Nd}+/gv : /\p{N}+/gv;
  const word = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/v;
  const spans = (text: string): number[] => {
    const found: number[] = [];
    for (const { 0: digits, index } of text.matchAll(run)) {
      const after = text.codePointAt(index + digits.length);
      if (atEdges && after !== undefined && word.test(String.fromCodePoint(after))) continue;
      const points = Array.from(digits);
      let at = index;
      for (let i = 0; i < points.length;) {
        const size = i === 0 && points.length % 3 !== 0 ? points.length % 3 : 3;
        const width = points.slice(i, i + size).join("").length;
        found.push(at, at + width);
        at += width;
        i += size;
      }
    }
    return found;
  };
  return { spans, cut: (text) => splitAt(text, spans(text), "Isolated", false) };
}
