/** The decoders of tokenizer.json, as what each piece stands for: every step but one looks at one piece at a time. */
import { FrugalError } from "../tensor/error.ts";
import { readAlphabet } from "./byte-alphabet.ts";
import { boolean, byType, integer, type JsonRecord, record, sequence, string } from "./json-read.ts";
import { readPattern, replaceSpans } from "./json-normalizer.ts";
import { byteOf } from "./spm.ts";
import { spaceMark } from "./utf8.ts";

export interface PieceDecoder {
  /** The bytes a piece stands for. @param isAdded whether the piece was added to the vocabulary as it is. */
  bytesOf(piece: string, isAdded: boolean): Uint8Array;
  readonly dropsFirstSpace: boolean;
}

/** A piece on its way: text, until a step makes it bytes. */
type Piece = string | Uint8Array;
type Step = (piece: string, isAdded: boolean) => Piece;

interface Reading {
  dropsFirstSpace: boolean;
  /** After Fuse, steps see the whole text. */
  fused: boolean;
}

const encoder = new TextEncoder();

const readers: Readonly<Record<string, (spec: JsonRecord, where: string, level: number, reading: Reading) => Step>> = {
  ByteLevel: () => (piece, isAdded) => {
    const source = encoder.encode(piece);
    const bytes = new Uint8Array(source.length);
    const length = isAdded ? -1 : readAlphabet(source, 0, source.length, bytes, 0);
    return length < 0 ? source : bytes.subarray(0, length);
  },
  Metaspace: (spec, where, _level, reading) => {
    const mark = string(spec["replacement"] ?? spaceMark, `${where}.replacement`);
    const scheme = string(spec["prepend_scheme"] ?? "always", `${where}.prepend_scheme`);
    if (scheme !== "never" && boolean(spec["add_prefix_space"], `${where}.add_prefix_space`, true)) reading.dropsFirstSpace = true;
    return (piece) => piece.replaceAll(mark, " ");
  },
  WordPiece: (spec, where, _level, reading) => {
    const prefix = string(spec["prefix"] ?? "##", `${where}.prefix`);
    const clean = boolean(spec["cleanup"], `${where}.cleanup`, true);
    reading.dropsFirstSpace = true;
    return (piece) => {
      const text = piece.startsWith(prefix) ? piece.slice(prefix.length) : ` ${piece}`;
      return clean ? cleanSpaces(text) : text;
    };
  },
  BPEDecoder: (spec, where) => {
    const suffix = string(spec["suffix"] ?? "</w>", `${where}.suffix`);
    return (piece) => (suffix === "" ? piece : piece.replaceAll(suffix, " "));
  },
  ByteFallback: () => (piece) => {
    const byte = byteOf(encoder.encode(piece));
    return byte < 0 ? piece : Uint8Array.of(byte);
  },
  Replace: (spec, where) => {
    const pattern = readPattern(spec["pattern"], `${where}.pattern`);
    const content = string(spec["content"], `${where}.content`);
    return (piece) => replaceSpans(piece, pattern.spans(piece), content);
  },
  Fuse: (_spec, _where, _level, reading) => {
    reading.fused = true;
    return (piece) => piece;
  },
  Strip: (spec, where, _level, reading) => {
    const content = string(spec["content"] ?? " ", `${where}.content`);
    const start = integer(spec["start"] ?? 0, `${where}.start`, 1000);
    const stop = integer(spec["stop"] ?? 0, `${where}.stop`, 1000);
    if (reading.fused) {
      if (content !== " " || start > 1 || stop > 0)
        throw new FrugalError(
          "FRUGAL_UNSUPPORTED",
          `tokenizer.json: ${where} strips more of the text than its first space, which cannot be streamed`,
          { where },
        );
      if (start === 1) reading.dropsFirstSpace = true;
      return (piece) => piece;
    }
    return (piece) => {
      let from = 0;
      let to = piece.length;
      while (from < start && from < to && piece[from] === content) from++;
      while (piece.length - to < stop && to > from && piece[to - 1] === content) to--;
      return piece.slice(from, to);
    };
  },
  Sequence: (spec, where, level, reading) => {
    const steps = sequence(spec, "decoders", where, level).map((item, i) => {
      const place = `${where}.decoders[${i}]`;
      return byType(readers, item, place)(item, place, level + 1, reading);
    });
    return (piece, isAdded) => {
      let current: Piece = piece;
      for (const step of steps) if (typeof current === "string") current = step(current, isAdded);
      return current;
    };
  },
};

/** Without a decoder, pieces are joined by spaces, as the tokenizers library does. */
export function readDecoder(value: unknown): PieceDecoder {
  const reading: Reading = { dropsFirstSpace: false, fused: false };
  let step: Step;
  if (value === null || value === undefined) {
    reading.dropsFirstSpace = true;
    step = (piece) => ` ${piece}`;
  } else {
    const spec = record(value, "decoder");
    step = byType(readers, spec, "decoder")(spec, "decoder", 0, reading);
  }
  return {
    bytesOf: (piece, isAdded) => {
      const decoded = step(piece, isAdded);
      return typeof decoded === "string" ? encoder.encode(decoded) : decoded;
    },
    dropsFirstSpace: reading.dropsFirstSpace,
  };
}

function cleanSpaces(text: string): string {
  return text
    .replaceAll(" .", ".")
    .replaceAll(" ?", "?")
    .replaceAll(" !", "!")
    .replaceAll(" ,", ",")
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(" do not", " don't")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
}
