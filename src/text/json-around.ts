/** The post-processors of tokenizer.json, as the ids they put before and after a single text. */
import { FrugalError } from "../tensor/error.ts";
import { badJson, byType, integer, type JsonRecord, list, record, sequence, string } from "./json-read.ts";

export interface Around {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

const none: Around = { prefix: [], suffix: [] };
type Reader = (spec: JsonRecord, where: string, size: number, level: number) => Around;

/** `[piece, id]`. */
function namedId(value: unknown, where: string, size: number): number {
  return integer(list(value, where)[1], `${where}[1]`, size - 1);
}

const clsAndSep: Reader = (spec, where, size) => ({
  prefix: [namedId(spec["cls"], `${where}.cls`, size)],
  suffix: [namedId(spec["sep"], `${where}.sep`, size)],
});

const readers: Readonly<Record<string, Reader>> = {
  ByteLevel: () => none,
  BertProcessing: clsAndSep,
  RobertaProcessing: clsAndSep,
  TemplateProcessing: (spec, where, size) => {
    const tokens = record(spec["special_tokens"] ?? {}, `${where}.special_tokens`);
    const prefix: number[] = [];
    const suffix: number[] = [];
    let seen = false;
    list(spec["single"], `${where}.single`).forEach((item, i) => {
      const place = `${where}.single[${i}]`;
      const entry = record(item, place);
      if (entry["Sequence"] !== undefined) {
        if (seen) throw badJson(place, "the only Sequence", entry);
        seen = true;
        return;
      }
      const name = string(record(entry["SpecialToken"], place)["id"], `${place}.SpecialToken.id`);
      const token = record(Object.hasOwn(tokens, name) ? tokens[name] : undefined, `${where}.special_tokens.${name}`);
      for (const id of list(token["ids"], `${where}.special_tokens.${name}.ids`))
        (seen ? suffix : prefix).push(integer(id, `${where}.special_tokens.${name}.ids`, size - 1));
    });
    if (!seen)
      throw new FrugalError("FRUGAL_BAD_FILE", `tokenizer.json: ${where}.single has no Sequence; the file is corrupt, fetch it again`, {
        where,
      });
    return { prefix, suffix };
  },
  Sequence: (spec, where, size, level) => {
    let around = none;
    sequence(spec, "processors", where, level).forEach((item, i) => {
      const place = `${where}.processors[${i}]`;
      const next = byType(readers, item, place)(item, place, size, level + 1);
      around = { prefix: [...next.prefix, ...around.prefix], suffix: [...around.suffix, ...next.suffix] };
    });
    return around;
  },
};

/** @param size of the vocabulary; @returns undefined where the file has no post-processor that adds anything. */
export function readAround(value: unknown, size: number): Around | undefined {
  if (value === null || value === undefined) return undefined;
  const spec = record(value, "post_processor");
  const around = byType(readers, spec, "post_processor")(spec, "post_processor", size, 0);
  return around.prefix.length + around.suffix.length === 0 ? undefined : around;
}
