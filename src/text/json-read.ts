/** Reading of tokenizer.json's values with an error that names the place. */
import { FrugalError, nearest } from "../tensor/error.ts";

export type JsonRecord = Readonly<Record<string, unknown>>;

export const badJson = (where: string, expected: string, value: unknown): FrugalError =>
  new FrugalError(
    "FRUGAL_BAD_FILE",
    `tokenizer.json: ${where} is ${value === undefined ? "missing" : `${JSON.stringify(value)?.slice(0, 80) ?? typeof value}`}, not ${expected}; the file is corrupt, fetch it again`,
    { where },
  );

export function record(value: unknown, where: string): JsonRecord {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw badJson(where, "an object", value);
  return value as JsonRecord;
}

export function list(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw badJson(where, "an array", value);
  return value;
}

export function string(value: unknown, where: string): string {
  if (typeof value !== "string") throw badJson(where, "a string", value);
  return value;
}

export function optionalString(value: unknown, where: string): string | undefined {
  return value === undefined || value === null ? undefined : string(value, where);
}

export function boolean(value: unknown, where: string, fallback: boolean): boolean {
  if (value === undefined || value === null) return fallback;
  if (typeof value !== "boolean") throw badJson(where, "true or false", value);
  return value;
}

export function integer(value: unknown, where: string, most: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > most)
    throw badJson(where, `a whole number from 0 to ${most}`, value);
  return value;
}

export function number(value: unknown, where: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw badJson(where, "a number", value);
  return value;
}

/** The row of `table` that `value.type` names. */
export function byType<T>(table: Readonly<Record<string, T>>, value: JsonRecord, where: string): T {
  const name = string(value["type"], `${where}.type`);
  const found = Object.hasOwn(table, name) ? table[name] : undefined;
  if (found !== undefined) return found;
  const near = nearest(name, Object.keys(table));
  const hint = near === undefined ? `known are ${Object.keys(table).join(", ")}` : `did you mean ${JSON.stringify(near)}?`;
  throw new FrugalError("FRUGAL_UNSUPPORTED", `tokenizer.json: ${where} has the unknown type ${JSON.stringify(name)}; ${hint}`, {
    where,
    name,
    near,
  });
}

const deepest = 32;

/** The records under `key` of a Sequence, which may nest. */
export function sequence(value: JsonRecord, key: string, where: string, level: number): readonly JsonRecord[] {
  if (level > deepest) throw badJson(where, `nested less than ${deepest} deep`, undefined);
  return list(value[key], `${where}.${key}`).map((item, i) => record(item, `${where}.${key}[${i}]`));
}
