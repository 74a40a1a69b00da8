/** What JSON that people write must look like, checked with errors that name the place, what stands there, and the nearest known key. */
import { FrugalError, nearest } from "../tensor/error.ts";

export type JsonShape =
  | { readonly kind: "number"; readonly from?: number; readonly above?: number; readonly to?: number; readonly whole?: true }
  | { readonly kind: "text" }
  | { readonly kind: "flag" }
  | { readonly kind: "choice"; readonly of: readonly string[] }
  | { readonly kind: "list"; readonly of: JsonShape; readonly least?: number }
  /** `open`: other keys are somebody else's to check. */
  | { readonly kind: "object"; readonly fields: Readonly<Record<string, JsonField>>; readonly open?: true }
  /** The first that is of the value's JSON type. */
  | { readonly kind: "either"; readonly of: readonly JsonShape[] };

export type JsonField = JsonShape & { readonly needed?: true };

/** @throws FRUGAL_BAD_ARGUMENT with the path of the key: "recipe.json: evaluation.every is 0; give a whole number from 1 on". */
export function checkShape(name: string, value: unknown, shape: JsonShape, path = ""): void {
  const wrong = (expected: string): FrugalError =>
    new FrugalError("FRUGAL_BAD_ARGUMENT", `${name}: ${path === "" ? "it" : path} is ${shown(value)}; give ${expected}`, { key: path });
  switch (shape.kind) {
    case "number": {
      const { from = -Infinity, above = -Infinity, to = Infinity, whole } = shape;
      const fits = typeof value === "number" && Number.isFinite(value) && value >= from && value > above && value <= to;
      if (!fits || (whole === true && !Number.isSafeInteger(value))) throw wrong(describe(shape));
      return;
    }
    case "text":
      if (typeof value !== "string" || value === "") throw wrong(describe(shape));
      return;
    case "flag":
      if (typeof value !== "boolean") throw wrong(describe(shape));
      return;
    case "choice": {
      if (typeof value === "string" && shape.of.includes(value)) return;
      const near = typeof value === "string" ? nearest(value, shape.of) : undefined;
      throw near === undefined
        ? wrong(describe(shape))
        : new FrugalError("FRUGAL_BAD_ARGUMENT", `${name}: ${path} is ${shown(value)}; did you mean ${JSON.stringify(near)}?`, {
            key: path,
          });
    }
    case "list":
      if (!Array.isArray(value) || value.length < (shape.least ?? 0)) throw wrong(describe(shape));
      value.forEach((each, i) => checkShape(name, each, shape.of, `${path}[${i}]`));
      return;
    case "object":
      if (jsonType(value) !== "object") throw wrong(describe(shape));
      return checkFields(name, value as Readonly<Record<string, unknown>>, shape, path);
    case "either": {
      const found = shape.of.find((each) => typeOf(each) === jsonType(value));
      if (found === undefined) throw wrong(describe(shape));
      return checkShape(name, value, found, path);
    }
  }
}

function checkFields(
  name: string,
  value: Readonly<Record<string, unknown>>,
  { fields, open }: Extract<JsonShape, { kind: "object" }>,
  path: string,
): void {
  const full = (key: string): string => (path === "" ? key : `${path}.${key}`);
  const known = Object.keys(fields);
  for (const [key, each] of Object.entries(value)) {
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (field !== undefined) {
      if (each !== undefined) checkShape(name, each, field, full(key));
    } else if (open !== true) {
      const near = nearest(key, known);
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `${name}: ${full(key)} is not known; ${near === undefined ? `there are ${known.join(", ")}` : `did you mean ${full(near)}?`}`,
        { key: full(key), ...(near === undefined ? {} : { nearest: near }) },
      );
    }
  }
  const missing = known.find((key) => fields[key]!.needed === true && value[key] === undefined);
  if (missing !== undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${name}: ${full(missing)} is missing; give ${describe(fields[missing]!)}`, {
      key: full(missing),
    });
}

function describe(shape: JsonShape): string {
  switch (shape.kind) {
    case "number": {
      const bounds = [
        shape.from === undefined ? [] : [`from ${shape.from} on`],
        shape.above === undefined ? [] : [`above ${shape.above}`],
        shape.to === undefined ? [] : [`at most ${shape.to}`],
      ].flat();
      return [`a ${shape.whole === true ? "whole " : ""}number`, bounds.join(" and ")].filter((part) => part !== "").join(" ");
    }
    case "text":
      return "a text";
    case "flag":
      return "true or false";
    case "choice":
      return shape.of.map((each) => JSON.stringify(each)).join(" or ");
    case "list":
      return `a list of ${describe(shape.of)}`;
    case "object":
      return `an object with ${Object.keys(shape.fields).join(", ")}`;
    case "either":
      return shape.of.map(describe).join(", or ");
  }
}

const types: Readonly<Record<Exclude<JsonShape["kind"], "either">, string>> = {
  number: "number",
  text: "string",
  flag: "boolean",
  choice: "string",
  list: "list",
  object: "object",
};
const typeOf = (shape: JsonShape): string => (shape.kind === "either" ? "" : types[shape.kind]);
const jsonType = (value: unknown): string => (Array.isArray(value) ? "list" : value === null ? "null" : typeof value);

const shown = (value: unknown): string => {
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object" && value !== null) return "an object";
  return (JSON.stringify(value) ?? String(value)).slice(0, 80);
};
