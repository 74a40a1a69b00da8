/** JSON from files: bounded, and with errors that name the file, the line and the column. */
import { FrugalError } from "../tensor/error.ts";
import { scanJson } from "./json-scan.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

export interface JsonLimits {
  /** Refuse a key that stands twice in the outermost object: `JSON.parse` would keep the last one silently. */
  readonly uniqueKeys?: boolean;
}

/** Parses UTF-8 JSON. Throws FRUGAL_BAD_FILE with the place. */
export const parseJson = (name: string, bytes: Uint8Array): unknown => parseText(name, decode(name, bytes));

/** As `parseJson` where the outermost value must be an object. */
export function parseJsonObject(name: string, bytes: Uint8Array, limits: JsonLimits = {}): JsonObject {
  const text = decode(name, bytes);
  const value = parseText(name, text);
  if (!isJsonObject(value)) throw bad(name, text, 0, "an object should stand here");
  if (limits.uniqueKeys === true) {
    const { duplicate } = scanJson(text);
    if (duplicate !== undefined) throw bad(name, text, duplicate.offset, `the key ${JSON.stringify(duplicate.key)} is there twice`);
  }
  return value;
}

export const isJsonObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

function parseText(name: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const { offset, wrong } = scanJson(text).error ?? { offset: 0, wrong: "is not valid JSON" };
    throw bad(name, text, offset, wrong, error);
  }
}

function decode(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new FrugalError("FRUGAL_BAD_FILE", `${name}: is not UTF-8 text (${bytes.length} bytes); save it as UTF-8`, {}, { cause: error });
  }
}

function bad(name: string, text: string, offset: number, wrong: string, cause?: unknown): FrugalError {
  const before = text.slice(0, offset).split("\n");
  const line = before.length;
  const column = before.at(-1)!.length + 1;
  return new FrugalError(
    "FRUGAL_BAD_FILE",
    `${name}: line ${line}, column ${column}: ${wrong}; correct it or fetch the file again`,
    { line, column, offset },
    { cause },
  );
}
