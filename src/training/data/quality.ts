/**
 * Which texts of the web are worth learning from. Rae et al., "Scaling Language Models: Methods, Analysis & Insights from Training Gopher",
 * 2021, https://arxiv.org/abs/2112.11446, appendix A.1.1: the document rules here, those of repetition in repetition.ts.
 */
import { repetitionRules } from "./repetition.ts";

/** A number of a text, and the bounds between which a good text's lies, both included. */
export interface QualityRule {
  readonly name: string;
  measure(text: ParsedText): number;
  readonly least?: number;
  readonly most?: number;
}

/** A text, cut once for all rules. */
export interface ParsedText {
  readonly text: string;
  /** Between white space. */
  readonly words: readonly string[];
  /** That hold anything. */
  readonly lines: readonly string[];
  /** Between empty lines. */
  readonly paragraphs: readonly string[];
}

export interface QualityFault {
  readonly rule: string;
  readonly value: number;
  readonly least?: number;
  readonly most?: number;
}

const bullet = /^\s*[•‣▪●◦*-]/u;
const ellipsis = /(?:\.\.\.|…)\s*$/u;
const stopWords = ["the", "be", "to", "of", "and", "that", "have", "with"];

const share = <T>(items: readonly T[], is: (item: T) => boolean): number =>
  items.length === 0 ? 0 : items.filter(is).length / items.length;

/** Of English texts; take those that fit for others. */
export const documentRules: readonly QualityRule[] = [
  { name: "words", measure: ({ words }) => words.length, least: 50, most: 100_000 },
  {
    name: "mean word length",
    measure: ({ words }) => words.reduce((sum, word) => sum + [...word].length, 0) / Math.max(1, words.length),
    least: 3,
    most: 10,
  },
  { name: "hash signs a word", measure: ({ text, words }) => (text.match(/#/gu)?.length ?? 0) / Math.max(1, words.length), most: 0.1 },
  { name: "ellipses a word", measure: ({ text, words }) => (text.match(/\.\.\.|…/gu)?.length ?? 0) / Math.max(1, words.length), most: 0.1 },
  { name: "lines that begin with a bullet", measure: ({ lines }) => share(lines, (line) => bullet.test(line)), most: 0.9 },
  { name: "lines that end with an ellipsis", measure: ({ lines }) => share(lines, (line) => ellipsis.test(line)), most: 0.3 },
  { name: "words with a letter", measure: ({ words }) => share(words, (word) => /\p{Alphabetic}/u.test(word)), least: 0.8 },
  {
    name: "different stop words",
    measure: ({ words }) => {
      const found = new Set(words.map((word) => word.toLowerCase().replace(/^\P{L}+|\P{L}+$/gu, "")));
      return stopWords.filter((word) => found.has(word)).length;
    },
    least: 2,
  },
];

export const gopherRules: readonly QualityRule[] = [...documentRules, ...repetitionRules];

/** The rules that a text breaks; none for a good one. */
export function qualityFaults(text: string, rules: readonly QualityRule[] = gopherRules): QualityFault[] {
  const parsed = parseText(text);
  return rules.flatMap(({ name, measure, least, most }) => {
    const value = measure(parsed);
    if (value >= (least ?? -Infinity) && value <= (most ?? Infinity)) return [];
    return [{ rule: name, value, ...(least === undefined ? {} : { least }), ...(most === undefined ? {} : { most }) }];
  });
}

const filled = (part: string): boolean => part.trim() !== "";

export const parseText = (text: string): ParsedText => ({
  text,
  words: text.split(/\s+/u).filter(filled),
  lines: text.split("\n").filter(filled),
  paragraphs: text.split(/\n\s*\n/u).filter(filled),
});
