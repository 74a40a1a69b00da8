/** Recorded loads: when requests came and how long they were. Two formats, told apart by their first line. */
import { FrugalError } from "../../tensor/error.ts";

export interface TraceRow {
  /** Milliseconds after the first request. */
  readonly at: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Of blocks of 512 prompt tokens: equal numbers at the beginning are an equal beginning. */
  readonly hashIds?: readonly number[];
}

/** Tokens that one hash stands for in Mooncake's traces. */
export const hashedTokens = 512;

/**
 * Reads Azure's CSV (`TIMESTAMP,ContextTokens,GeneratedTokens`) or Mooncake's JSON lines (`timestamp` in milliseconds, `input_length`,
 * `output_length`, `hash_ids`), the first `most` rows of it.
 * @throws FRUGAL_BAD_FILE that names the line.
 */
export function readTrace(text: string, name: string, most: number = Infinity): TraceRow[] {
  const lines = text.split(/\r?\n/);
  const isCsv = !lines[0]!.trimStart().startsWith("{");
  if (isCsv && lines[0]!.trim() !== "TIMESTAMP,ContextTokens,GeneratedTokens")
    throw bad(
      name,
      1,
      "is neither JSON nor the header TIMESTAMP,ContextTokens,GeneratedTokens; give a trace of Azure's or Mooncake's format",
    );
  const rows: TraceRow[] = [];
  for (let i = isCsv ? 1 : 0; i < lines.length && rows.length < most; i++) {
    const line = lines[i]!.trim();
    if (line !== "") rows.push(isCsv ? fromCsv(line, name, i + 1) : fromJson(line, name, i + 1));
  }
  if (rows.length === 0) throw bad(name, 1, "is all there is; there are no requests in this trace");
  // Some rows of real traces are out of order by a little.
  rows.sort((a, b) => a.at - b.at);
  const begin = rows[0]!.at;
  return rows.map((row) => ({ ...row, at: row.at - begin }));
}

function fromCsv(line: string, name: string, number: number): TraceRow {
  const [time = "", prompt = "", output = "", ...rest] = line.split(",");
  const [, date, clock, fraction = "0"] = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?$/.exec(time.trim()) ?? [];
  const at = Date.parse(`${date}T${clock}Z`) + 1000 * Number(`0.${fraction}`);
  if (rest.length > 0 || Number.isNaN(at))
    throw bad(name, number, `is ${JSON.stringify(line.slice(0, 80))}; it should be a time, tokens of the prompt, tokens written`);
  return { at, ...lengths(Number(prompt || NaN), Number(output || NaN), name, number) };
}

function fromJson(line: string, name: string, number: number): TraceRow {
  let row: Readonly<Record<string, unknown>>;
  try {
    row = JSON.parse(line) as Readonly<Record<string, unknown>>;
  } catch {
    throw bad(name, number, `is no JSON object: ${JSON.stringify(line.slice(0, 80))}`);
  }
  const { timestamp, input_length, output_length, hash_ids } = row ?? {};
  if (typeof timestamp !== "number" || !Number.isFinite(timestamp)) throw bad(name, number, "has no timestamp in milliseconds");
  const sizes = lengths(input_length, output_length, name, number);
  if (hash_ids === undefined) return { at: timestamp, ...sizes };
  if (!Array.isArray(hash_ids) || !hash_ids.every((id) => Number.isSafeInteger(id) && id >= 0))
    throw bad(name, number, "has hash_ids that are no list of whole numbers");
  return { at: timestamp, ...sizes, hashIds: hash_ids as number[] };
}

function lengths(prompt: unknown, output: unknown, name: string, number: number): { promptTokens: number; outputTokens: number } {
  for (const value of [prompt, output])
    if (!Number.isSafeInteger(value) || (value as number) < 0 || (value as number) > 1e8)
      throw bad(name, number, `has ${JSON.stringify(value)} where a number of tokens belongs`);
  return { promptTokens: prompt as number, outputTokens: output as number };
}

const bad = (name: string, line: number, what: string): FrugalError =>
  new FrugalError("FRUGAL_BAD_FILE", `${name}: line ${line} ${what}`, { line });
