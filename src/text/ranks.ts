/** BPE by ranks, as tiktoken has it: neighbours merge whenever the vocabulary holds their bytes, the lowest rank first. No list of merges is needed. */
import { FrugalError } from "../tensor/error.ts";
import { merger, type MergeRule } from "./merge.ts";
import { patternSplitter } from "./split.ts";
import { addedTokens } from "./added-tokens.ts";
import { assembleTokenizer, type Tokenizer } from "./tokenizer.ts";
import type { TokenBuffer } from "./token-buffer.ts";
import { utf8Buffer, writeUtf8 } from "./utf8.ts";
import { type Vocabulary, vocabulary } from "./vocabulary.ts";
import { rememberWords } from "./word-cache.ts";
import { stringBytes } from "../tensor/strings.ts";

/** Encodes one word at a time; a piece's id is its rank. */
export function rankEncoder(pieces: Vocabulary): (word: string, output: TokenBuffer) => void {
  const buffer = utf8Buffer();
  const merging = merger();
  const candidate = { priority: 0 };
  const rule: MergeRule = {
    candidate,
    merged: (_left, _right, start, end) => (candidate.priority = pieces.find(buffer.bytes, start, end)),
  };
  return rememberWords((word, output) => {
    writeUtf8(buffer, word);
    const { bytes, length } = buffer;
    const whole = pieces.find(bytes, 0, length);
    if (whole >= 0) return output.push(whole);
    const ids = merging.symbols(length);
    for (let i = 0; i < length; i++) ids[i] = pieces.find(bytes, i, i + 1);
    merging.run(length, rule, (id) => {
      if (id >= 0) output.push(id);
    });
  });
}

export interface RankOptions {
  /** The pre-tokenizer's regular expression, in the syntax of tokenizer.json. */
  readonly pattern: string;
  /** Special tokens and their ids, which may lie beyond the ranks. */
  readonly special?: Readonly<Record<string, number>>;
  /** Names among `special`. */
  readonly bos?: string;
  readonly eos?: string;
}

/**
 * A tokenizer from a tiktoken rank file: lines of base64 and a rank.
 * @throws FRUGAL_BAD_FILE where a line is not one, a rank is missing, or one occurs twice.
 */
export function tokenizerFromRanks(text: string, options: RankOptions): Tokenizer {
  const special = Object.entries(options.special ?? {});
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  let line = 0;
  for (const row of text.split("\n")) {
    line++;
    if (row.trim() === "") continue;
    const [, encoded, digits] = /^([A-Za-z0-9+/=]+) (\d{1,8})\s*$/u.exec(row) ?? [];
    const rank = Number(digits);
    const piece = encoded === undefined ? undefined : fromBase64(encoded);
    if (piece === undefined || piece.length === 0 || rank > 1 << 24)
      throw new FrugalError("FRUGAL_BAD_FILE", `tokenizer ranks: line ${line} is not "base64 rank"; fetch the file again`, { line });
    if (pieces[rank] !== undefined)
      throw new FrugalError("FRUGAL_BAD_FILE", `tokenizer ranks: rank ${rank} occurs twice, again on line ${line}`, { line, rank });
    pieces[rank] = piece;
    bytes += piece.length;
  }
  const encoder = new TextEncoder();
  for (const [name, id] of special) {
    if (!Number.isInteger(id) || id < 0 || id > 1 << 24 || pieces[id] !== undefined)
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `tokenizer ranks: special token ${name} has id ${id}, which is taken or no id`, {
        name,
        id,
      });
    pieces[id] = encoder.encode(name);
    bytes += pieces[id]!.length;
  }
  const table = { length: pieces.length, bytes: new Uint8Array(bytes), offsets: new Uint32Array(pieces.length + 1) };
  let at = 0;
  for (let id = 0; id < pieces.length; id++) {
    const piece = pieces[id];
    if (piece !== undefined) {
      table.bytes.set(piece, at);
      at += piece.length;
    }
    table.offsets[id + 1] = at;
  }
  const specialIds = new Set(special.map(([, id]) => id));
  const encodeWord = rankEncoder(vocabulary(table, (id) => pieces[id] !== undefined && !specialIds.has(id)));
  const split = patternSplitter(options.pattern);
  const idOf = (name: string | undefined): number | undefined => (name === undefined ? undefined : options.special?.[name]);
  return assembleTokenizer({
    pieces: table,
    bytesOf: (id) => stringBytes(table, id),
    isSpecial: (id) => specialIds.has(id),
    added: addedTokens(() => special.map(([name, id]) => ({ id, text: name, special: true }))),
    encodeFragment: (fragment, _place, output) => split(fragment, (word) => encodeWord(word, output)),
    bos: idOf(options.bos),
    eos: idOf(options.eos),
  });
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    const binary = atob(text);
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}
