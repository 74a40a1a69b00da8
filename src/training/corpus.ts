/** Plain text that holds many texts, cut and cleaned, as rows of training data: what a model that begins anew learns from. */
import { readWhole } from "../formats/files.ts";
import { FrugalError } from "../tensor/error.ts";
import { bytesSource, type ByteSource } from "../tensor/source.ts";
import { nearDuplicates } from "./data/near-duplicates.ts";

/** A file and what is kept of it. */
export interface TextFile {
  readonly file: string;
  /** Stands between texts, alone on a line; without it the file is one text. */
  readonly separator?: string;
  /** Characters a text must have at least. Default 1. */
  readonly shortest?: number;
  /** And may have at most. */
  readonly longest?: number;
  /** A regular expression of JavaScript that must match, so that texts that were cut off are left out: "[.!?]$". */
  readonly matches?: string;
  /** A text of at least this Jaccard resemblance to an earlier one is left out (data/near-duplicates.ts): 0.8 is usual. */
  readonly nearDuplicates?: number;
}

export interface Corpus {
  readonly texts: readonly string[];
  /** Left out, by reason. A text that stands there twice is kept once. */
  readonly left: {
    readonly short: number;
    readonly long: number;
    readonly unmatched: number;
    readonly repeated: number;
    readonly alike: number;
  };
}

/** More than any text that is learned from at once, and short enough for memory. */
const largestFile = 1 << 30;

/** Rejects with FRUGAL_NOT_FOUND, FRUGAL_BAD_FILE where the file is not UTF-8 or nothing is left, FRUGAL_BAD_ARGUMENT for a bad expression. */
export async function readCorpus(options: TextFile): Promise<Corpus> {
  const { file } = options;
  let content: string;
  try {
    content = new TextDecoder("utf-8", { fatal: true }).decode(await readWhole(file, largestFile));
  } catch (error) {
    if (error instanceof FrugalError) throw error;
    throw new FrugalError("FRUGAL_BAD_FILE", `${file}: is not UTF-8 text; save it as UTF-8`, { file }, { cause: error });
  }
  const corpus = cutCorpus(content, options);
  if (corpus.texts.length > 0) return corpus;
  throw new FrugalError("FRUGAL_BAD_FILE", `${file}: no text is left of it (${printLeft(corpus)}); ask for less`, { file });
}

export function cutCorpus(content: string, options: TextFile): Corpus {
  const { file, separator, shortest = 1, longest = Infinity, matches, nearDuplicates: threshold } = options;
  const pattern = matches === undefined ? undefined : compiled(file, matches);
  const left = { short: 0, long: 0, unmatched: 0, repeated: 0, alike: 0 };
  const seen = threshold === undefined ? undefined : nearDuplicates({ threshold });
  const texts = new Set<string>();
  for (const part of separator === undefined ? [content] : splitAtLines(content, separator)) {
    const text = tidied(part);
    if (text === "") continue;
    if (text.length < shortest) left.short++;
    else if (text.length > longest) left.long++;
    else if (pattern !== undefined && !pattern.test(text)) left.unmatched++;
    else if (texts.has(text)) left.repeated++;
    else if (seen?.add(text) !== undefined) left.alike++;
    else texts.add(text);
  }
  return { texts: [...texts], left };
}

export const printLeft = ({ left }: Corpus): string =>
  Object.entries(left)
    .map(([reason, count]) => `${count} ${reason}`)
    .join(", ");

/** The texts as JSONL that `readExamples` reads; lines are counted in texts. */
export const corpusRows = (name: string, { texts }: Corpus): ByteSource =>
  bytesSource(name, new TextEncoder().encode(texts.map((text) => `${JSON.stringify({ text })}\n`).join("")));

function splitAtLines(content: string, separator: string): string[] {
  const parts: string[] = [];
  let part: string[] = [];
  for (const line of content.split("\n")) {
    if (line.trim() !== separator) part.push(line);
    else parts.push(part.splice(0).join("\n"));
  }
  return [...parts, part.join("\n")];
}

/** Line ends as \n, no space at the end of lines, and none around the text. */
const tidied = (text: string): string =>
  text
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")
    .trim();

function compiled(file: string, source: string): RegExp {
  try {
    return new RegExp(source, "u");
  } catch (error) {
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${file}: matches ${JSON.stringify(source)} is no regular expression; correct it`,
      { source },
      { cause: error },
    );
  }
}
