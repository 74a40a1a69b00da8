/**
 * Regular expressions of tokenizer files, run. Patterns that are known are run by JavaScript's own engine, fast; a pattern that
 * a file brings along is run by a small backtracking matcher that counts its steps, because no engine of the platform can be
 * stopped and `(a+)+b` would hang it.
 */
import { FrugalError } from "../tensor/error.ts";
import { parseRegex, type Place, type RegexNode, wordCharacters } from "./regex-parse.ts";

export interface TextPattern {
  /** Starts and ends of all matches, one after the other, from left to right; empty matches included. */
  spans(text: string): number[];
  /** The text cut into matches and what lies between them; nothing is lost, empty parts are left out. */
  cut(text: string): readonly string[];
}

/**
 * @param trusted whether the pattern is known to run in linear time.
 * @throws FRUGAL_UNSUPPORTED at a match that takes too many steps.
 */
export function textPattern(pattern: string, trusted: boolean): TextPattern {
  const node = parseRegex(pattern);
  let counting: ((text: string) => number[]) | undefined;
  const slow = (text: string): number[] => (counting ??= countingMatcher(node, pattern))(text);
  if (!trusted) return { spans: slow, cut: (text) => cutAt(text, slow(text)) };
  const regex = new RegExp(emit(node), "gv");
  const spans = (text: string): number[] => {
    try {
      const found: number[] = [];
      for (const match of text.matchAll(regex)) found.push(match.index, match.index + match[0].length);
      return found;
    } catch (error) {
      // V8's backtracking stack ends at runs of some ten million characters.
      if (error instanceof RangeError) return slow(text);
      throw error;
    }
  };
  return {
    spans,
    cut(text) {
      let words: readonly string[];
      try {
        words = text.match(regex) ?? [];
      } catch (error) {
        if (error instanceof RangeError) return cutAt(text, slow(text));
        throw error;
      }
      let covered = 0;
      for (const word of words) covered += word.length;
      return covered === text.length ? words : cutAt(text, spans(text));
    },
  };
}

function cutAt(text: string, spans: readonly number[]): string[] {
  const parts: string[] = [];
  let at = 0;
  for (const place of spans) {
    if (place > at) parts.push(text.slice(at, place));
    at = place;
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts;
}

const placeSource: Readonly<Record<Place, string>> = {
  "line start": "(?<=^|\\n)",
  "line end": "(?=\\n|$)",
  "text start": "^",
  "text end": "$",
  "last line end": "(?=\\n?$)",
  "word edge": `(?:(?<=${wordCharacters})(?!${wordCharacters})|(?<!${wordCharacters})(?=${wordCharacters}))`,
  "no word edge": `(?:(?<=${wordCharacters})(?=${wordCharacters})|(?<!${wordCharacters})(?!${wordCharacters}))`,
};

function emit(root: RegexNode): string {
  let groups = 0;
  const atomic = (source: string): string => `(?:(?=(${source}))\\${++groups})`;
  const write = (node: RegexNode): string => {
    switch (node.kind) {
      case "set":
        return node.source;
      case "sequence":
        return node.nodes.map(write).join("");
      case "choice":
        return `(?:${node.nodes.map(write).join("|")})`;
      case "repeat": {
        const { least, most } = node;
        const count =
          most === Infinity
            ? least === 0
              ? "*"
              : least === 1
                ? "+"
                : `{${least},}`
            : least === 0 && most === 1
              ? "?"
              : `{${least},${most}}`;
        const inner = node.node.kind === "set" ? write(node.node) : `(?:${write(node.node)})`;
        if (node.mode === "possessive") return atomic(inner + count);
        return inner + count + (node.mode === "lazy" ? "?" : "");
      }
      case "look":
        return `(?${node.ahead ? "" : "<"}${node.negative ? "!" : "="}${write(node.node)})`;
      case "atomic":
        return atomic(write(node.node));
      case "place":
        return placeSource[node.at];
    }
  };
  return write(root);
}

type Continue = (at: number) => number;
/** Matches from `at` and answers what `next` says of the end, or -1. */
type Matcher = (at: number, next: Continue) => number;

function countingMatcher(root: RegexNode, pattern: string): (text: string) => number[] {
  let text = "";
  let limit = 0;
  let steps = 0;
  const step = (): void => {
    if (++steps > limit)
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        `tokenizer pattern: ${JSON.stringify(pattern.slice(0, 200))} takes more than ${limit} steps on ${text.length} characters; it is not a pattern to run on untrusted text`,
        { limit, characters: text.length },
      );
  };
  const widthAt = (at: number): number => (text.codePointAt(at)! > 0xffff ? 2 : 1);
  const widthBefore = (at: number): number => (at > 1 && (text.charCodeAt(at - 1) & 0xfc00) === 0xdc00 ? 2 : 1);

  const compile = (node: RegexNode): Matcher => {
    switch (node.kind) {
      case "set": {
        const holds = membership(node.source);
        return (at, next) => {
          step();
          return at < text.length && holds(text.codePointAt(at)!) ? next(at + widthAt(at)) : -1;
        };
      }
      case "sequence":
        return node.nodes.map(compile).reduceRight<Matcher>(
          (rest, first) => (at, next) => first(at, (end) => rest(end, next)),
          (at, next) => next(at),
        );
      case "choice": {
        const choices = node.nodes.map(compile);
        return (at, next) => {
          for (const choice of choices) {
            step();
            const end = choice(at, next);
            if (end >= 0) return end;
          }
          return -1;
        };
      }
      case "repeat":
        if (node.mode === "possessive") return once(compile({ ...node, mode: "greedy" }));
        return node.node.kind === "set" ? repeatSet(node.node.source, node) : repeat(compile(node.node), node);
      case "look": {
        const inner = node.ahead ? compile(node.node) : undefined;
        const behind = node.ahead ? undefined : compile(node.node);
        return (at, next) => {
          step();
          return (inner === undefined ? endsHere(behind!, at) : inner(at, (end) => end) >= 0) === node.negative ? -1 : next(at);
        };
      }
      case "atomic":
        return once(compile(node.node));
      case "place": {
        const holds = placeTest(node.at, () => text);
        return (at, next) => (holds(at) ? next(at) : -1);
      }
    }
  };
  const once =
    (inner: Matcher): Matcher =>
    (at, next) => {
      const end = inner(at, (reached) => reached);
      return end < 0 ? -1 : next(end);
    };
  const endsHere = (inner: Matcher, at: number): boolean => {
    for (let start = at; start >= 0; start--) {
      step();
      if (inner(start, (end) => (end === at ? end : -1)) >= 0) return true;
    }
    return false;
  };
  const repeatSet = (source: string, { least, most, mode }: { least: number; most: number; mode: string }): Matcher => {
    const holds = membership(source);
    const takes = (at: number): boolean => {
      step();
      return at < text.length && holds(text.codePointAt(at)!);
    };
    if (mode === "lazy")
      return (at, next) => {
        for (let count = 0; ; count++) {
          const end = count < least ? -1 : next(at);
          if (end >= 0) return end;
          if (count >= most || !takes(at)) return -1;
          at += widthAt(at);
        }
      };
    return (at, next) => {
      let count = 0;
      for (; count < most && takes(at); count++) at += widthAt(at);
      for (; count >= least; count--) {
        step();
        const end = next(at);
        if (end >= 0) return end;
        at -= widthBefore(at);
      }
      return -1;
    };
  };
  const repeat = (inner: Matcher, { least, most, mode }: { least: number; most: number; mode: string }): Matcher => {
    const from =
      (count: number): Matcher =>
      (at, next) => {
        step();
        const more = (): number =>
          count < most ? inner(at, (end) => (end === at && count >= least ? -1 : from(count + 1)(end, next))) : -1;
        const stop = (): number => (count >= least ? next(at) : -1);
        const first = mode === "lazy" ? stop() : more();
        return first >= 0 ? first : mode === "lazy" ? more() : stop();
      };
    return from(0);
  };

  const matcher = compile(root);
  return (subject): number[] => {
    text = subject;
    limit = 1_000_000 + 200 * text.length;
    steps = 0;
    const spans: number[] = [];
    try {
      for (let at = 0; at <= text.length;) {
        const end = matcher(at, (reached) => reached);
        if (end >= 0) spans.push(at, end);
        at = end > at ? end : at + (at < text.length ? widthAt(at) : 1);
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const shown = JSON.stringify(pattern.slice(0, 200));
      const message = `tokenizer pattern: ${shown} nests too deeply on ${text.length} characters; it is not a pattern to run on untrusted text`;
      throw new FrugalError("FRUGAL_UNSUPPORTED", message, { characters: text.length }, { cause: error });
    }
    return spans;
  };
}

/** Whether a class holds a character, asked once of each. */
function membership(source: string): (point: number) => boolean {
  const regex = new RegExp(`^${source}$`, "v");
  const known = new Map<number, boolean>();
  return (point) => {
    let held = known.get(point);
    if (held === undefined) known.set(point, (held = regex.test(String.fromCodePoint(point))));
    return held;
  };
}

function placeTest(place: Place, current: () => string): (at: number) => boolean {
  const isWord = membership(wordCharacters);
  const wordAfter = (at: number): boolean => at < current().length && isWord(current().codePointAt(at)!);
  const wordBefore = (at: number): boolean => {
    if (at === 0) return false;
    const wide = at > 1 && (current().charCodeAt(at - 1) & 0xfc00) === 0xdc00;
    return isWord(current().codePointAt(at - (wide ? 2 : 1))!);
  };
  const tests: Readonly<Record<Place, (at: number) => boolean>> = {
    "line start": (at) => at === 0 || current()[at - 1] === "\n",
    "line end": (at) => at === current().length || current()[at] === "\n",
    "text start": (at) => at === 0,
    "text end": (at) => at === current().length,
    "last line end": (at) => at === current().length || (at === current().length - 1 && current()[at] === "\n"),
    "word edge": (at) => wordBefore(at) !== wordAfter(at),
    "no word edge": (at) => wordBefore(at) === wordAfter(at),
  };
  return tests[place];
}
