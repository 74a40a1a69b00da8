/** The post-processors of tokenizer.json, as the ids they put before and after a text, and between two. */
import { FrugalError } from "../tensor/error.ts";
import { badJson, byType, integer, type JsonRecord, list, record, sequence, string } from "./json-read.ts";

export interface Around {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  /** Absent where two texts are not simply the first, these ids and the second, within the same prefix and suffix. */
  readonly between?: Between;
}

/** How two texts are told apart. */
export interface Between {
  readonly ids: readonly number[];
  /** Of the second text and what follows it; the rest is segment 0. */
  readonly segment: number;
}

const none: Around = { prefix: [], suffix: [] };
type Reader = (spec: JsonRecord, where: string, size: number, level: number) => Around;

/** `[piece, id]`. */
function namedId(value: unknown, where: string, size: number): number {
  return integer(list(value, where)[1], `${where}[1]`, size - 1);
}

const clsAndSep =
  (separators: number, segment: number): Reader =>
  (spec, where, size) => {
    const separator = namedId(spec["sep"], `${where}.sep`, size);
    return {
      prefix: [namedId(spec["cls"], `${where}.cls`, size)],
      suffix: [separator],
      between: { ids: new Array<number>(separators).fill(separator), segment },
    };
  };

const readers: Readonly<Record<string, Reader>> = {
  ByteLevel: () => none,
  BertProcessing: clsAndSep(1, 1),
  RobertaProcessing: clsAndSep(2, 0),
  TemplateProcessing: (spec, where, size) => {
    const { groups } = templateIds(spec, "single", where, size);
    if (groups.length === 1)
      throw new FrugalError("FRUGAL_BAD_FILE", `tokenizer.json: ${where}.single has no Sequence; the file is corrupt, fetch it again`, {
        where,
      });
    const [prefix, suffix] = groups as [number[], number[]];
    if (spec["pair"] === undefined || spec["pair"] === null) return { prefix, suffix };
    const pair = templateIds(spec, "pair", where, size);
    const [first, ids, last] = pair.groups;
    const same = (a: readonly number[] | undefined, b: readonly number[]): boolean => a?.join() === b.join();
    if (pair.groups.length !== 3 || !same(first, prefix) || !same(last, suffix)) return { prefix, suffix };
    return { prefix, suffix, between: { ids: ids!, segment: pair.lastSegment } };
  },
  Sequence: (spec, where, size, level) => {
    let around = none;
    sequence(spec, "processors", where, level).forEach((item, i) => {
      const place = `${where}.processors[${i}]`;
      const next = byType(readers, item, place)(item, place, size, level + 1);
      const between = next.between ?? around.between;
      around = {
        prefix: [...next.prefix, ...around.prefix],
        suffix: [...around.suffix, ...next.suffix],
        ...(between === undefined ? {} : { between }),
      };
    });
    return around;
  },
};

/** The special ids of a template: those before its first text, then those after each. */
function templateIds(spec: JsonRecord, name: "single" | "pair", where: string, size: number): { groups: number[][]; lastSegment: number } {
  const tokens = record(spec["special_tokens"] ?? {}, `${where}.special_tokens`);
  const groups: number[][] = [[]];
  let lastSegment = 0;
  list(spec[name], `${where}.${name}`).forEach((item, i) => {
    const place = `${where}.${name}[${i}]`;
    const entry = record(item, place);
    if (entry["Sequence"] !== undefined) {
      if (groups.length > (name === "single" ? 1 : 2)) throw badJson(place, name === "single" ? "the only Sequence" : "one of two", entry);
      lastSegment = integer(record(entry["Sequence"], place)["type_id"] ?? 0, `${place}.type_id`, 255);
      groups.push([]);
      return;
    }
    const id = string(record(entry["SpecialToken"], place)["id"], `${place}.SpecialToken.id`);
    const token = record(Object.hasOwn(tokens, id) ? tokens[id] : undefined, `${where}.special_tokens.${id}`);
    for (const value of list(token["ids"], `${where}.special_tokens.${id}.ids`))
      groups.at(-1)!.push(integer(value, `${where}.special_tokens.${id}.ids`, size - 1));
  });
  return { groups, lastSegment };
}

/** @param size of the vocabulary; @returns undefined where the file has no post-processor that adds anything. */
export function readAround(value: unknown, size: number): Around | undefined {
  if (value === null || value === undefined) return undefined;
  const spec = record(value, "post_processor");
  const around = byType(readers, spec, "post_processor")(spec, "post_processor", size, 0);
  return around.prefix.length + around.suffix.length === 0 ? undefined : around;
}
