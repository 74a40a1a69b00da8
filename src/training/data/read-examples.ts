/** Files of rows to examples: what is bad or too long is refused, or left out and counted. */
import { FrugalError } from "../../tensor/error.ts";
import { wholeNumber } from "../../tensor/options.ts";
import type { ByteSource } from "../../tensor/source.ts";
import { type Encoding, rowEncoder } from "./encode-row.ts";
import { type Example, type Preference, scoredCount } from "./example.ts";
import { type JsonLine, readJsonl } from "./jsonl.ts";
import { type Row, readRow, type RowKind } from "./rows.ts";

export interface ReadOptions extends Encoding {
  /** Most ids an example may have: the model's context, less the rows that a technique puts in front. */
  readonly context: number;
  /** Lines that are no rows. Default "refuse". */
  readonly badLines?: "refuse" | "skip" | undefined;
  /** Examples longer than the context; texts are always cut into pieces instead. Default "refuse". */
  readonly tooLong?: "refuse" | "skip" | "truncate" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What became of the lines. */
export interface DataReport {
  /** Lines that are not blank. */
  readonly lines: number;
  readonly examples: number;
  readonly tokens: number;
  /** Tokens that are to be predicted. */
  readonly scoredTokens: number;
  readonly badLines: number;
  /** What was wrong with the first of them. */
  readonly firstBad: readonly string[];
  readonly skippedLong: number;
  readonly truncated: number;
  /** Fields that say nothing about training, and how many rows have them. */
  readonly ignoredFields: Readonly<Record<string, number>>;
}

export interface ReadExamples<T> {
  readonly examples: readonly T[];
  readonly report: DataReport;
}

/**
 * Rows of messages, of prompt and completion, of text, or of ids, in the order of the files. Throws FRUGAL_BAD_FILE with file, line and column
 * for what is no row or too long, and where nothing is left to learn from.
 */
export function readExamples(sources: readonly ByteSource[], options: ReadOptions): Promise<ReadExamples<Example>> {
  const encoder = rowEncoder(options);
  return read<Example>(sources, options, ["messages", "completion", "text", "ids"], (row, line, cut) => {
    if (row.kind === "preference") return [];
    const whole: Example = { name: line.name, ...encoder.row(row) };
    return row.kind === "text" ? pieces(whole, options.context) : cut([whole])[0]!;
  });
}

/** Rows of prompt, chosen and rejected; both answers are kept or none. */
export function readPreferences(sources: readonly ByteSource[], options: ReadOptions): Promise<ReadExamples<Preference>> {
  const encoder = rowEncoder(options);
  return read<Preference>(sources, options, ["preference"], (row, line, cut) => {
    if (row.kind !== "preference") return [];
    const { name, chosen, rejected } = encoder.preference(row, line.name);
    const [[a], [b]] = cut([chosen, rejected]) as [Example[], Example[]];
    return a === undefined || b === undefined ? [] : [{ name, chosen: a, rejected: b }];
  });
}

/** Makes examples fit the context: each becomes one, or none where they are left out. */
type Cut = (examples: readonly Example[]) => (readonly Example[])[];

/** Longer than this and other work gets its turn, an abort too. */
const turnMilliseconds = 5;

async function read<T extends Example | Preference>(
  sources: readonly ByteSource[],
  { context, badLines = "refuse", tooLong = "refuse", signal }: ReadOptions,
  wanted: readonly RowKind[],
  encode: (row: Row, line: JsonLine, cut: Cut) => readonly T[],
): Promise<ReadExamples<T>> {
  wholeNumber("data", "context", context, 2);
  const examples: T[] = [];
  const count = { lines: 0, tokens: 0, scoredTokens: 0, badLines: 0, skippedLong: 0, truncated: 0 };
  const firstBad: string[] = [];
  const ignored = new Map<string, number>();
  const cut: Cut = (all) => {
    const longest = all.reduce((most, each) => (each.ids.length > most.ids.length ? each : most));
    if (longest.ids.length <= context) return all.map((each) => [each]);
    const kept = all.map(({ name, ids, scored }): Example => ({ name, ids: ids.slice(0, context), scored: scored.slice(0, context) }));
    if (tooLong === "refuse") throw tooLongFor(longest, context);
    if (tooLong === "skip" || kept.some((each) => scoredCount(each) === 0)) {
      count.skippedLong++;
      return all.map(() => []);
    }
    count.truncated++;
    return kept.map((each) => [each]);
  };
  const take = (line: JsonLine): void => {
    const fields: string[] = [];
    const row = readRow(line, wanted, (field) => void fields.push(field));
    let found: readonly T[];
    try {
      found = encode(row, line, cut);
    } catch (error) {
      if (!(error instanceof FrugalError) || isTooLong(error)) throw error;
      throw line.wrong(error.message, undefined, error);
    }
    for (const each of found.flatMap((one) => ("chosen" in one ? [one.chosen, one.rejected] : [one as Example]))) {
      if (scoredCount(each) === 0) throw line.wrong(`nothing is to be predicted in ${each.ids.length} tokens; at least 2 are needed`);
      count.tokens += each.ids.length;
      count.scoredTokens += scoredCount(each);
    }
    for (const field of fields) ignored.set(field, (ignored.get(field) ?? 0) + 1);
    for (const each of found) examples.push(each);
  };
  let turn = performance.now();
  for (const source of sources)
    for await (const line of readJsonl(source)) {
      if (performance.now() - turn > turnMilliseconds) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        turn = performance.now();
      }
      signal?.throwIfAborted();
      count.lines++;
      try {
        if (line instanceof FrugalError) throw line;
        take(line);
      } catch (error) {
        if (badLines === "refuse" || !(error instanceof FrugalError) || isTooLong(error)) throw error;
        count.badLines++;
        if (firstBad.length < 5) firstBad.push(error.message);
      }
    }
  const report: DataReport = { ...count, examples: examples.length, firstBad, ignoredFields: Object.fromEntries(ignored) };
  if (examples.length === 0) throw nothing(sources, report);
  return { examples, report };
}

/** Pieces that follow each other; each begins with the last id of the one before, so that every id but the first is predicted once. */
function pieces({ name, ids, scored }: Example, context: number): Example[] {
  const found: Example[] = [];
  for (let start = 0; start === 0 || start < ids.length - 1; start += context - 1)
    found.push({
      name,
      ids: ids.slice(start, start + context),
      scored: scored.slice(start, start + context).fill(0, 0, start === 0 ? 0 : 1),
    });
  return found;
}

const tooLongFor = ({ name, ids }: Example, context: number): FrugalError =>
  new FrugalError(
    "FRUGAL_CONTEXT_FULL",
    `${name}: has ${ids.length} tokens, more than the ${context} the model may read; shorten it, or choose to skip or truncate long examples`,
    { example: name, tokens: ids.length, context },
  );

const isTooLong = ({ code }: FrugalError): boolean => code === "FRUGAL_CONTEXT_FULL";

function nothing(sources: readonly ByteSource[], { lines, badLines, firstBad, skippedLong }: DataReport): FrugalError {
  const files = sources.map(({ name }) => name).join(", ") || "no files";
  const why =
    lines === 0
      ? "no line holds anything"
      : [
          badLines > 0 ? `${badLines} of ${lines} lines are bad (${firstBad[0]})` : "",
          skippedLong > 0 ? `${skippedLong} of ${lines} are longer than the context` : "",
        ]
          .filter((part) => part !== "")
          .join(", ");
  return new FrugalError(
    "FRUGAL_BAD_FILE",
    `data: ${files}: nothing to learn from: ${why}; give rows such as {"text": "..."}, one a line`,
    { lines },
  );
}
