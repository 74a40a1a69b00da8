/** The models of tokenizer.json: words to ids. */
import { FrugalError } from "../tensor/error.ts";
import { type StringTable, stringTable } from "../tensor/strings.ts";
import { byteEncoder, characterEncoder, type MergeTable, mergeTable } from "./bpe.ts";
import { readPieces } from "./byte-alphabet.ts";
import { badJson, boolean, byType, integer, type JsonRecord, list, number, optionalString, record, string } from "./json-read.ts";
import type { TokenBuffer } from "./token-buffer.ts";
import { bytePieces } from "./spm.ts";
import { unigramEncoder } from "./unigram.ts";
import { type Vocabulary, vocabulary } from "./vocabulary.ts";
import { wordPieceEncoder } from "./wordpiece.ts";

/** Every id's spelling; "" where an id has none. */
export interface Spellings {
  readonly pieces: StringTable;
  readonly ids: ReadonlyMap<string, number>;
}

/** What a model needs to know of the rest of the file. */
export interface ModelPlace {
  readonly spellings: Spellings;
  /** Whether text may become this id. */
  textual(id: number): boolean;
  /** Words are to be read as bytes, whose spelling in GPT-2's alphabet the pieces are. */
  readonly bytes: boolean;
}

export interface JsonModel {
  readonly encode: (word: string, output: TokenBuffer) => void;
  readonly unknown: number | undefined;
}

const mostIds = 1 << 24;
const mostMerges = 1 << 23;

const readers: Readonly<Record<string, (spec: JsonRecord, place: ModelPlace) => JsonModel>> = {
  BPE: readMerges,
  WordPiece: (spec, place) => {
    const unknown = idOfPiece(spec["unk_token"] ?? "[UNK]", "model.unk_token", place.spellings);
    const encode = wordPieceEncoder({
      vocabulary: vocabulary(place.spellings.pieces, place.textual),
      unknown: unknown ?? -1,
      startPrefix: "",
      continuingPrefix: string(spec["continuing_subword_prefix"] ?? "##", "model.continuing_subword_prefix"),
      longestWord: integer(spec["max_input_chars_per_word"] ?? 100, "model.max_input_chars_per_word", 100_000),
    });
    return { encode, unknown };
  },
  WordLevel: (spec, place) => {
    const unknown = idOfPiece(spec["unk_token"] ?? "<unk>", "model.unk_token", place.spellings);
    const words = vocabulary(place.spellings.pieces, place.textual);
    return {
      unknown,
      encode: (word, output) => {
        const id = words.findText(word);
        if (id >= 0) output.push(id);
        else if (unknown !== undefined) output.push(unknown);
      },
    };
  },
  Unigram: (spec, { spellings, textual }) => {
    const entries = list(spec["vocab"], "model.vocab");
    const scores = new Float64Array(spellings.pieces.length);
    let least = Infinity;
    entries.forEach((entry, id) => {
      scores[id] = number(list(entry, `model.vocab[${id}]`)[1], `model.vocab[${id}][1]`);
      least = Math.min(least, scores[id]!);
    });
    const unknown =
      spec["unk_id"] === null || spec["unk_id"] === undefined ? undefined : integer(spec["unk_id"], "model.unk_id", entries.length - 1);
    const fallback = boolean(spec["byte_fallback"], "model.byte_fallback", false);
    const encode = unigramEncoder({
      pieces: spellings.pieces,
      // What was added beside the vocabulary has no score.
      included: (id) => id < entries.length && textual(id),
      score: (id) => scores[id]!,
      unknownScore: least - 10,
      unknown: unknown ?? -1,
      ...(fallback ? { byteIds: bytePieces(vocabulary(spellings.pieces), () => true) } : {}),
    });
    return { encode, unknown };
  },
};

function readMerges(spec: JsonRecord, place: ModelPlace): JsonModel {
  const { spellings, textual } = place;
  const dropout = spec["dropout"];
  if (dropout !== null && dropout !== undefined && dropout !== 0)
    throw new FrugalError("FRUGAL_UNSUPPORTED", "tokenizer.json: model.dropout makes ids random; set it to null", {});
  const unknown = idOfPiece(spec["unk_token"], "model.unk_token", spellings);
  const continuingPrefix = optionalString(spec["continuing_subword_prefix"], "model.continuing_subword_prefix") ?? "";
  const wordSuffix = optionalString(spec["end_of_word_suffix"], "model.end_of_word_suffix") ?? "";
  const wholeWords = boolean(spec["ignore_merges"], "model.ignore_merges", false);
  const words = vocabulary(spellings.pieces, textual);
  const merges = mergesOf(spec["merges"], words, continuingPrefix, spellings);
  if (place.bytes) {
    const { table, spelled } = readPieces(spellings.pieces, () => false);
    const bytes = vocabulary(table, (id) => textual(id) && spelled[id] === 1);
    return { unknown, encode: byteEncoder({ vocabulary: bytes, merges, wholeWords, unknown: unknown ?? -1 }) };
  }
  const fallback = boolean(spec["byte_fallback"], "model.byte_fallback", false);
  const encode = characterEncoder({
    vocabulary: words,
    merges,
    wholeWords,
    ...(fallback ? { byteIds: bytePieces(words, () => true) } : {}),
    unknown: unknown ?? -1,
    fuseUnknown: boolean(spec["fuse_unk"], "model.fuse_unk", false),
    continuingPrefix,
    wordSuffix,
  });
  return { encode, unknown };
}

function mergesOf(value: unknown, words: Vocabulary, continuingPrefix: string, { ids }: Spellings): MergeTable {
  const rules = list(value, "model.merges");
  if (rules.length > mostMerges) throw badJson("model.merges", `at most ${mostMerges} rules`, rules.length);
  const merges = mergeTable(rules.length);
  rules.forEach((rule, i) => {
    const [left, right] = typeof rule === "string" ? pairOf(rule, i) : list(rule, `model.merges[${i}]`);
    const a = string(left, `model.merges[${i}][0]`);
    const b = string(right, `model.merges[${i}][1]`);
    const result = a + (continuingPrefix !== "" && b.startsWith(continuingPrefix) ? b.slice(continuingPrefix.length) : b);
    for (const part of [a, b, result])
      if (!ids.has(part)) throw badJson(`model.merges[${i}]`, "a rule about pieces of the vocabulary", part);
    // A special token is no text, and so no rule may make one.
    const [leftId, rightId, resultId] = [words.findText(a), words.findText(b), words.findText(result)];
    if (leftId >= 0 && rightId >= 0 && resultId >= 0) merges.add(leftId, rightId, resultId);
  });
  return merges;
}

function pairOf(rule: string, i: number): readonly [string, string] {
  const parts = rule.split(" ");
  if (parts.length !== 2) throw badJson(`model.merges[${i}]`, "two pieces with a space between", rule);
  return parts as [string, string];
}

function idOfPiece(value: unknown, where: string, { ids }: Spellings): number | undefined {
  const name = optionalString(value, where);
  return name === undefined ? undefined : ids.get(name);
}

/** Files older than the field `type` say by their other fields what they are. */
export function modelSpec(value: unknown): JsonRecord {
  const spec = record(value, "model");
  if (spec["type"] !== undefined) return spec;
  const type =
    spec["merges"] !== undefined
      ? "BPE"
      : Array.isArray(spec["vocab"])
        ? "Unigram"
        : spec["max_input_chars_per_word"] !== undefined || spec["continuing_subword_prefix"] !== undefined
          ? "WordPiece"
          : "WordLevel";
  return { ...spec, type };
}

/** All ids with their spellings: the model's vocabulary and what was added to it. */
export function spellingsOf(spec: JsonRecord, added: readonly { id: number; text: string }[]): Spellings {
  const ids = new Map<string, number>();
  const spelled: string[] = [];
  const entries: readonly (readonly [string, number])[] = Array.isArray(spec["vocab"])
    ? spec["vocab"].map((entry, id) => [string(list(entry, `model.vocab[${id}]`)[0], `model.vocab[${id}][0]`), id] as const)
    : Object.entries(record(spec["vocab"], "model.vocab")).map(
        ([piece, id]) => [piece, integer(id, `model.vocab[${JSON.stringify(piece)}]`, mostIds)] as const,
      );
  const largest = [...entries.map(([, id]) => id), ...added.map(({ id }) => id)].reduce((most, id) => Math.max(most, id), -1);
  const count = entries.length + added.length;
  if (largest > count * 4 + 100_000) throw badJson("model.vocab", `ids below ${count * 4 + 100_000} for ${count} pieces`, largest);
  for (const [piece, id] of entries) {
    if (spelled[id] !== undefined)
      throw badJson(`model.vocab[${JSON.stringify(piece)}]`, `an id of its own (${JSON.stringify(spelled[id])} has it)`, id);
    spelled[id] = piece;
    if (!ids.has(piece)) ids.set(piece, id);
  }
  for (const { id, text } of added) {
    if (spelled[id] !== undefined && spelled[id] !== text) ids.delete(spelled[id]);
    spelled[id] = text;
    ids.set(text, id);
  }
  return { ids, pieces: stringTable(Array.from({ length: largest + 1 }, (_, id) => spelled[id] ?? "")) };
}

export const readModel = (spec: JsonRecord, place: ModelPlace): JsonModel => byType(readers, spec, "model")(spec, place);
