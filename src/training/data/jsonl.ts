/** JSONL: one JSON object a line. What is wrong is said with file, line and column. */
import { isJsonObject, type JsonObject } from "../../formats/json.ts";
import { scanJson } from "../../formats/json-scan.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { ByteSource } from "../../tensor/source.ts";
import { type Line, readLines } from "./lines.ts";

export interface JsonLine {
  readonly value: JsonObject;
  /** "a.jsonl line 12" */
  readonly name: string;
  /** An error about the line; about the value of `key`, where one is given. */
  wrong(problem: string, key?: string, cause?: unknown): FrugalError;
}

/** Longer than any conversation, and short enough for memory. */
const longestLine = 1 << 26;

/** The objects of a file; for a line that holds none, the error, so that the reader may go on. Blank lines are left out. */
export async function* readJsonl(source: ByteSource): AsyncGenerator<JsonLine | FrugalError> {
  const file = source.name.slice(Math.max(source.name.lastIndexOf("/"), source.name.lastIndexOf("\\")) + 1);
  for await (const line of readLines(source, longestLine)) {
    const found = parseLine(file, line);
    if (found !== undefined) yield found;
  }
}

function parseLine(file: string, line: Line): JsonLine | FrugalError | undefined {
  const fail = (offset: number, problem: string, cause?: unknown): FrugalError =>
    new FrugalError(
      "FRUGAL_BAD_FILE",
      `${file}: line ${line.number}, column ${offset + 1}: ${problem}; correct the line, or choose to skip bad lines`,
      { file, line: line.number, column: offset + 1 },
      { cause },
    );
  if ("length" in line) return fail(0, `the line has ${line.length} bytes, and at most ${longestLine} are read; break it up`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(line.bytes);
  } catch (error) {
    return fail(validText(line.bytes).length, "this is not UTF-8 text", error);
  }
  if (text.trim() === "") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const { offset, wrong } = scanJson(text).error ?? { offset: 0, wrong: "this is not valid JSON" };
    return fail(offset, wrong.replace("the file ends", "the line ends"), error);
  }
  if (!isJsonObject(value)) {
    const hint = Array.isArray(value) ? "an array, as a JSON file has it; write one object a line" : "no object";
    return fail(text.length - text.trimStart().length, `here stands ${hint}`);
  }
  const { duplicate } = scanJson(text);
  if (duplicate !== undefined) return fail(duplicate.offset, `the field ${JSON.stringify(duplicate.key)} is there twice`);
  return {
    value,
    name: `${file} line ${line.number}`,
    wrong: (problem, key, cause) => fail(key === undefined ? 0 : valueOffset(text, key), problem, cause),
  };
}

/** The longest beginning that is UTF-8. */
function validText(bytes: Uint8Array): string {
  const decode = (length: number): string | undefined => {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length), { stream: true });
    } catch {
      return undefined;
    }
  };
  let [good, bad] = [0, bytes.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (decode(middle) === undefined) bad = middle;
    else good = middle;
  }
  return decode(good) ?? "";
}

/** Where the value of a key of the outermost object begins; 0 where there is no such key. */
function valueOffset(text: string, key: string): number {
  let depth = 0;
  const token = /"(?:[^"\\]|\\.)*"|[[\]{}]/gy;
  for (let at = 0; at < text.length;) {
    token.lastIndex = at;
    const found = token.exec(text)?.[0];
    at += found?.length ?? 1;
    if (found === "{" || found === "[") depth++;
    else if (found === "}" || found === "]") depth--;
    else if (found !== undefined && depth === 1) {
      const colon = /\s*:\s*/y;
      colon.lastIndex = at;
      const between = colon.exec(text);
      if (between !== null && JSON.parse(found) === key) return at + between[0].length;
    }
  }
  return 0;
}
