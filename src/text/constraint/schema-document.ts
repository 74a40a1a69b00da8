/** A schema as a document: its parts, where they stand, what references mean, and the languages its patterns and formats stand for. */
import { FrugalError, nearest } from "../../tensor/error.ts";
import type { Effort } from "./expression.ts";
import { formats } from "./formats.ts";
import type { Language } from "./language.ts";
import { patternLanguage } from "./pattern-language.ts";
import { readPattern } from "./regex-pattern.ts";
import { checkKeywords, isObject, type Schema, type SchemaObject, unsupported } from "./schema-keywords.ts";

export interface SchemaDocument {
  readonly root: Schema;
  readonly work: Effort;
  /** Where the schema stands, as `#/properties/name`. */
  pathOf(schema: Schema): string;
  /** A number of its own for each schema, and what it is, its words checked. */
  idOf(schema: SchemaObject): number;
  resolve(reference: string, path: string): Schema;
  /** Texts in which the pattern matches. */
  pattern(source: string): Language;
  format(name: string, path: string): Language;
}

const longest = 1_000_000;
const deepest = 128;

/** @throws FRUGAL_BAD_ARGUMENT for what is no schema, or one beyond the limits: 1,000,000 characters, 128 levels. */
export function schemaDocument(given: unknown, work: Effort): SchemaDocument {
  const root = plainCopy(given);
  const paths = new Map<object, string>();
  const anchors = new Map<string, Schema>();
  const open: { value: unknown; path: string; depth: number }[] = [{ value: root, path: "#", depth: 0 }];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const { value, path, depth } = at;
    if (typeof value !== "object" || value === null) continue;
    work.spend(20);
    if (depth > deepest) throw bad(`is nested deeper than ${deepest} levels at ${path.slice(0, 200)}; make it flatter`);
    paths.set(value, path);
    if (isObject(value) && typeof value["$anchor"] === "string") anchors.set(value["$anchor"], value);
    for (const [key, inner] of Object.entries(value))
      open.push({ value: inner, path: `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`, depth: depth + 1 });
  }
  const ids = new Map<SchemaObject, number>();
  const languages = new Map<string, Language>();
  const made = (key: string, make: () => Language): Language => {
    const language = languages.get(key) ?? make();
    languages.set(key, language);
    return language;
  };
  const self: SchemaDocument = {
    root,
    work,
    pathOf: (schema) => (typeof schema === "object" ? paths.get(schema) : undefined) ?? "#",
    idOf(schema) {
      let id = ids.get(schema);
      if (id === undefined) {
        // Made by ourselves, as the opposite of one: its parts were looked at or will be.
        if (paths.has(schema)) checkKeywords(schema, paths.get(schema)!);
        ids.set(schema, (id = ids.size));
      }
      return id;
    },
    resolve(reference, path) {
      const own = isObject(root) && typeof root["$id"] === "string" ? root["$id"].replace(/#$/u, "") : undefined;
      const local = own !== undefined && reference.startsWith(own) ? reference.slice(own.length) || "#" : reference;
      if (!local.startsWith("#"))
        throw unsupported(`$ref ${JSON.stringify(reference.slice(0, 200))}`, path, "leads out of the schema; put what it means into $defs");
      const found = local === "#" ? root : local.startsWith("#/") ? pointed(root, local) : anchors.get(local.slice(1));
      if (typeof found !== "boolean" && !isObject(found))
        throw bad(`$ref ${JSON.stringify(reference.slice(0, 200))} at ${path} leads to no schema; correct it`);
      return found;
    },
    pattern: (source) => made(`pattern ${source}`, () => patternLanguage(readPattern(source), false, work)),
    format(name, path) {
      const source = Object.hasOwn(formats, name) ? formats[name] : undefined;
      if (source === undefined) {
        const near = nearest(name, Object.keys(formats));
        throw unsupported(
          `format ${JSON.stringify(name.slice(0, 100))}`,
          path,
          `is not enforced; ${near === undefined ? "remove it or give a pattern" : `write ${near}, or give a pattern`}`,
        );
      }
      return made(`format ${name}`, () => patternLanguage(readPattern(source), true, work));
    },
  };
  return self;
}

/** The schema as data: without getters, cycles or numbers that are none. */
function plainCopy(given: unknown): Schema {
  let text: string | undefined;
  try {
    text = JSON.stringify(given);
  } catch (error) {
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `json-schema: cannot be written as JSON (${String(error).slice(0, 200)}); give plain data`,
    );
  }
  if (text === undefined) throw bad("is no JSON; give an object");
  if (text.length > longest) throw bad(`has ${text.length} characters, more than ${longest}; make it smaller`);
  const copy: unknown = JSON.parse(text);
  if (typeof copy === "boolean" || isObject(copy)) return copy;
  throw bad(`is ${text.slice(0, 80)}; give an object, true or false`);
}

function pointed(root: unknown, reference: string): unknown {
  let at = root;
  for (const part of reference.slice(2).split("/")) {
    let key = part;
    try {
      key = decodeURIComponent(part);
    } catch {
      // Not encoded: taken as it is.
    }
    key = key.replaceAll("~1", "/").replaceAll("~0", "~");
    at = typeof at === "object" && at !== null && Object.hasOwn(at, key) ? (at as SchemaObject)[key] : undefined;
  }
  return at;
}

const bad = (what: string): FrugalError => new FrugalError("FRUGAL_BAD_ARGUMENT", `json-schema: ${what}`);
