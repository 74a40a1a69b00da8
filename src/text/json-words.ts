/** The pre-tokenizers of tokenizer.json: text to words. */
import { FrugalError } from "../tensor/error.ts";
import { badJson, boolean, byType, type JsonRecord, optionalString, record, sequence, string } from "./json-read.ts";
import { readPattern, spellBytes } from "./json-normalizer.ts";
import * as patterns from "./patterns.ts";
import { type Behaviour, patternOf, splitAt } from "./split.ts";
import { spaceMark } from "./utf8.ts";

/** Cuts one part; `first` says that it stands at the start of the whole text. */
type Cut = (text: string, first: boolean) => readonly string[];

export interface Words {
  /** Words of a fragment of text. */
  cut(text: string, first: boolean): readonly string[];
  /** Words are to be read as bytes: the pre-tokenizer would spell them in GPT-2's alphabet, which we leave out. */
  readonly bytes: boolean;
}

interface Reading {
  bytes: boolean;
  /** Spell the words, because the model adds marks of its own to them. */
  readonly spelled: boolean;
}

type Reader = (spec: JsonRecord, where: string, level: number, reading: Reading) => Cut;

const behaviours: Readonly<Record<string, Behaviour>> = {
  removed: "Removed",
  isolated: "Isolated",
  mergedwithprevious: "MergedWithPrevious",
  mergedwithnext: "MergedWithNext",
  contiguous: "Contiguous",
};

function behaviour(value: unknown, where: string, fallback: Behaviour): Behaviour {
  const name = optionalString(value, where);
  if (name === undefined) return fallback;
  const found = behaviours[name.toLowerCase().replaceAll("_", "")];
  if (found === undefined) throw badJson(where, "a behaviour", value);
  return found;
}

const by = (regex: RegExp, how: Behaviour): Cut => {
  return (text) => {
    const spans: number[] = [];
    for (const match of text.matchAll(regex)) spans.push(match.index, match.index + match[0].length);
    return splitAt(text, spans, how, false);
  };
};

const punctuation = /[\p{P}!-\/:-@\[-`\{-~]/gv;
const space = /\p{White_Space}/gv;

const readers: Readonly<Record<string, Reader>> = {
  ByteLevel: (spec, where, _level, reading) => {
    const addSpace = boolean(spec["add_prefix_space"], `${where}.add_prefix_space`, true);
    const useRegex = boolean(spec["use_regex"], `${where}.use_regex`, true);
    const pattern = useRegex ? patternOf(patterns.gpt2) : undefined;
    reading.bytes = true;
    return (text) => {
      const whole = addSpace && !text.startsWith(" ") ? ` ${text}` : text;
      const words = pattern === undefined ? [whole] : pattern.cut(whole);
      return reading.spelled ? words.map(spellBytes) : words;
    };
  },
  Metaspace: (spec, where) => {
    const mark = string(spec["replacement"] ?? spaceMark, `${where}.replacement`);
    const old = boolean(spec["add_prefix_space"], `${where}.add_prefix_space`, true);
    const scheme = optionalString(spec["prepend_scheme"], `${where}.prepend_scheme`) ?? (old ? "always" : "never");
    if (!["always", "first", "never"].includes(scheme)) throw badJson(`${where}.prepend_scheme`, "always, first or never", scheme);
    const split = boolean(spec["split"], `${where}.split`, true);
    return (text, first) => {
      let marked = text.replaceAll(" ", mark);
      if ((scheme === "always" || (scheme === "first" && first)) && !marked.startsWith(mark)) marked = mark + marked;
      if (!split) return [marked];
      const spans: number[] = [];
      for (let at = marked.indexOf(mark); at >= 0 && mark !== ""; at = marked.indexOf(mark, at + mark.length))
        spans.push(at, at + mark.length);
      return splitAt(marked, spans, "MergedWithNext", false);
    };
  },
  Split: (spec, where) => {
    const pattern = readPattern(spec["pattern"], `${where}.pattern`);
    const how = behaviour(spec["behavior"], `${where}.behavior`, "Isolated");
    const invert = boolean(spec["invert"], `${where}.invert`, false);
    // The same words, without a record of each.
    if (how === "Isolated") return (text) => pattern.cut(text);
    return (text) => splitAt(text, pattern.spans(text), how, invert);
  },
  Digits: (spec, where) =>
    by(/\p{N}/gv, boolean(spec["individual_digits"], `${where}.individual_digits`, false) ? "Isolated" : "Contiguous"),
  Punctuation: (spec, where) => by(punctuation, behaviour(spec["behavior"], `${where}.behavior`, "Isolated")),
  Whitespace: () => (text) =>
    text.match(/[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u{200c}\u{200d}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u{200c}\u{200d}\p{White_Space}]+/gv) ??
    [],
  WhitespaceSplit: () => by(space, "Removed"),
  BertPreTokenizer: () => {
    const marks = by(punctuation, "Isolated");
    const words = by(space, "Removed");
    return (text, first) => words(text, first).flatMap((word) => marks(word, false));
  },
  CharDelimiterSplit: (spec, where) => {
    const delimiter = string(spec["delimiter"], `${where}.delimiter`);
    return (text) => text.split(delimiter).filter((part) => part !== "");
  },
  FixedLength: (spec, where) => {
    const length = spec["length"];
    if (typeof length !== "number" || !Number.isInteger(length) || length < 1) throw badJson(`${where}.length`, "a whole number", length);
    return (text) => {
      const points = Array.from(text);
      return Array.from({ length: Math.ceil(points.length / length) }, (_, i) => points.slice(i * length, (i + 1) * length).join(""));
    };
  },
  Sequence: (spec, where, level, reading) => {
    const steps = sequence(spec, "pretokenizers", where, level).map((item, i) => {
      if (reading.bytes && !reading.spelled)
        throw new FrugalError("FRUGAL_UNSUPPORTED", `tokenizer.json: ${where} has a step after ByteLevel, which cuts bytes and not text`, {
          where,
        });
      return readOne(item, `${where}.pretokenizers[${i}]`, level + 1, reading);
    });
    return (text, first) => {
      let parts: readonly string[] = [text];
      for (const step of steps) {
        let isFirst = first;
        parts = parts.flatMap((part) => {
          const words = part === "" ? [] : step(part, isFirst);
          isFirst = false;
          return words;
        });
      }
      return parts;
    };
  },
};

const readOne: Reader = (spec, where, level, reading) => byType(readers, spec, where)(spec, where, level, reading);

/** @param spelled whether ByteLevel is to spell the words in its alphabet after all. */
export function readWords(value: unknown, spelled: boolean): Words {
  const reading: Reading = { bytes: false, spelled };
  const cut: Cut =
    value === null || value === undefined ? (text) => [text] : readOne(record(value, "pre_tokenizer"), "pre_tokenizer", 0, reading);
  return { cut, bytes: reading.bytes };
}
