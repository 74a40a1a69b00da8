/** Reads a model's configuration key by key, checks every value, and remembers what was read: a key nobody asked for is an error, not a shrug. */
import { type ErrorCode, FrugalError, nearest } from "../tensor/error.ts";
import type { MetadataValue } from "../tensor/strings.ts";

export interface ConfigReader {
  /** For messages: "config.json of gemma". */
  readonly where: string;
  has(key: string): boolean;
  /** Whether the key is there and null: "none", where a missing key would mean the family's default. */
  isNull(key: string): boolean;
  /** Whether the key holds a list. */
  isList(key: string): boolean;
  /** A whole number from `least` (1 where not said) to 2^31 - 1; required where there is no fallback. */
  size(key: string, fallback?: number, least?: number): number;
  /** A finite number. */
  number(key: string, fallback?: number): number;
  /** A finite number above 0. */
  positive(key: string, fallback?: number): number;
  flag(key: string, fallback?: boolean): boolean;
  text(key: string, fallback?: string): string;
  /** One of the texts that `choices` has an entry for. */
  choice<T>(key: string, choices: Readonly<Record<string, T>>, fallback?: T): T;
  /** A list of numbers, texts or truth values; undefined where the key is missing. */
  numbers(key: string): readonly number[] | undefined;
  texts(key: string): readonly string[] | undefined;
  flags(key: string): readonly boolean[] | undefined;
  /** The object under a key; undefined where the key is missing. Its own keys are checked by `finish` of this reader. */
  section(key: string): ConfigReader | undefined;
  /** Keys that change no result. */
  ignore(...keys: readonly string[]): void;
  /** Keys we only know for these values: another one is FRUGAL_UNSUPPORTED. A missing key is fine. */
  expect(key: string, ...values: readonly unknown[]): void;
  /** An error about the value of a key. */
  wrong(key: string, problem: string, code?: ErrorCode): FrugalError;
  /** Throws FRUGAL_BAD_CONFIG where a key is left that nobody read or ignored. */
  finish(): void;
}

/** A reader of a parsed config.json or of a part of it. `null` counts as missing, but for `isNull`. */
export function configReader(where: string, config: Readonly<Record<string, unknown>>): ConfigReader {
  const given = Object.entries(config).filter(([, value]) => value !== undefined);
  const nulls = new Set(given.flatMap(([key, value]) => (value === null ? [key] : [])));
  return reader(where, new Map(given.filter(([key]) => !nulls.has(key))), "", nulls);
}

/** A reader of the GGUF metadata under `prefix.`; the other keys belong to the file and the tokenizer. */
export function metadataReader(where: string, metadata: ReadonlyMap<string, MetadataValue>, prefix: string): ConfigReader {
  const own = [...metadata].filter(([key]) => key.startsWith(`${prefix}.`));
  return reader(where, new Map(own.map(([key, value]) => [key.slice(prefix.length + 1), plain(value)])), `${prefix}.`);
}

/** Numbers as numbers, and lists as arrays, where they fit. */
function plain(value: MetadataValue): unknown {
  if (typeof value === "bigint") return Number(value);
  return ArrayBuffer.isView(value) ? Array.from(value as Float32Array | BigInt64Array, Number) : value;
}

function reader(where: string, entries: ReadonlyMap<string, unknown>, prefix = "", nulls: ReadonlySet<string> = new Set()): ConfigReader {
  const known = new Set<string>();
  const sections = new Map<string, ConfigReader>();
  const wrong = (key: string, problem: string, code: ErrorCode = "FRUGAL_BAD_CONFIG"): FrugalError =>
    new FrugalError(code, `${where}: ${prefix}${key} ${problem}`, { key: `${prefix}${key}` });

  function read<T>(key: string, wanted: string, accept: (value: unknown) => value is T, fallback: T | undefined): T {
    known.add(key);
    const value = entries.get(key);
    if (value === undefined) {
      if (fallback !== undefined) return fallback;
      const near = nearest(
        key,
        [...entries.keys()].filter((other) => !known.has(other)),
      );
      throw wrong(
        key,
        `is missing, ${wanted} is needed${near === undefined ? "" : `; it has "${prefix}${near}", rename it if that is what is meant`}`,
      );
    }
    if (!accept(value)) throw wrong(key, `is ${shown(value)}; it must be ${wanted}`);
    return value;
  }
  const list = <T>(key: string, wanted: string, accept: (value: unknown) => value is T): readonly T[] | undefined => {
    known.add(key);
    if (!entries.has(key)) return undefined;
    return read(key, wanted, (v): v is readonly T[] => Array.isArray(v) && v.every(accept), undefined);
  };

  return {
    where,
    has: (key) => entries.has(key),
    isNull: (key) => nulls.has(key),
    isList: (key) => Array.isArray(entries.get(key)),
    size: (key, fallback, least = 1) =>
      read(
        key,
        `a whole number of at least ${least}`,
        (v): v is number => isNumber(v) && Number.isInteger(v) && v >= least && v < 2 ** 31,
        fallback,
      ),
    number: (key, fallback) => read(key, "a finite number", isNumber, fallback),
    positive: (key, fallback) => read(key, "a number above 0", (v): v is number => isNumber(v) && v > 0, fallback),
    flag: (key, fallback) => read(key, "true or false", isFlag, fallback),
    text: (key, fallback) => read(key, "a text", isText, fallback),
    choice(key, choices, fallback) {
      if (fallback !== undefined && !entries.has(key)) return (known.add(key), fallback);
      const text = read(key, `one of ${Object.keys(choices).join(", ")}`, isText, undefined);
      if (Object.hasOwn(choices, text)) return choices[text]!;
      const near = nearest(text, Object.keys(choices));
      throw wrong(
        key,
        `is "${text}", which Frugal does not know${near === undefined ? "." : `; did you mean "${near}"?`} Known: ${Object.keys(choices).join(", ")}`,
        "FRUGAL_UNSUPPORTED",
      );
    },
    numbers: (key) => list(key, "a list of finite numbers", isNumber),
    texts: (key) => list(key, "a list of texts", isText),
    flags: (key) => list(key, "a list of true and false", isFlag),
    section(key) {
      known.add(key);
      if (!entries.has(key)) return undefined;
      const section = sections.get(key) ?? configReader(`${where}, ${key}`, read(key, "an object", isObject, undefined));
      sections.set(key, section);
      return section;
    },
    ignore: (...keys) => keys.forEach((key) => known.add(key)),
    expect(key, ...values) {
      known.add(key);
      const value = entries.get(key);
      if (value === undefined || values.some((accepted) => JSON.stringify(accepted) === JSON.stringify(value))) return;
      throw wrong(
        key,
        `is ${shown(value)}, which Frugal cannot do for this family; supported: ${values.map(shown).join(", ") || "no value"}`,
        "FRUGAL_UNSUPPORTED",
      );
    },
    wrong,
    finish() {
      for (const key of entries.keys()) {
        if (known.has(key)) continue;
        const near = nearest(key, known);
        throw wrong(
          key,
          `is not a key this family knows${near === undefined ? "." : `; did you mean "${prefix}${near}"?`} It may change results, so it is not ignored`,
        );
      }
      sections.forEach((section) => section.finish());
    },
  };
}

const isNumber = (v: unknown): v is number => typeof v === "number" && Number.isFinite(v);
const isFlag = (v: unknown): v is boolean => typeof v === "boolean";
const isText = (v: unknown): v is string => typeof v === "string";
const isObject = (v: unknown): v is Readonly<Record<string, unknown>> => typeof v === "object" && v !== null && !Array.isArray(v);

/** A value for a message; never more than a line. */
function shown(value: unknown): string {
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
