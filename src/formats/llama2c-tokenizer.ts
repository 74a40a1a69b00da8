/** Tokenizers of llama2.c: SentencePiece pieces with scores, given back in GGUF's vocabulary so that the tokenizer's loader needs no special case. */
import { FrugalError } from "../tensor/error.ts";
import { type Metadata, type MetadataValue, stringTable } from "../tensor/strings.ts";

/** `tokenizer.ggml.token_type` */
const kinds = { normal: 1, unknown: 2, control: 3, byte: 6 };

const UNKNOWN = 0;
const BEGIN = 1;
const END = 2;

/** Reads a tokenizer of `count` pieces: the longest piece's length, then (float32 score, int32 length, bytes) each. Throws FRUGAL_BAD_FILE. */
export function readLlama2cTokenizer(name: string, bytes: Uint8Array, count: number): Metadata {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bad = (offset: number, wrong: string): FrugalError =>
    new FrugalError("FRUGAL_BAD_FILE", `${name}: at byte ${offset}, ${wrong}; use the tokenizer that belongs to the checkpoint`, {
      offset,
      count,
    });
  if (bytes.length < 4 + 8 * count) throw bad(0, `the file has ${bytes.length} bytes, too few for ${count} pieces`);
  const pieces: string[] = [];
  const scores = new Float32Array(count);
  const types = new Int32Array(count);
  let offset = 4;
  for (let i = 0; i < count; i++) {
    if (offset + 8 > bytes.length) throw bad(offset, `the file ends before piece ${i} of ${count}`);
    const length = view.getInt32(offset + 4, true);
    if (length < 0 || offset + 8 + length > bytes.length) throw bad(offset, `piece ${i} has length ${length}, beyond the end of the file`);
    scores[i] = view.getFloat32(offset, true);
    const piece = new TextDecoder().decode(bytes.subarray(offset + 8, offset + 8 + length));
    const { text, type } = toPiece(piece, i);
    pieces.push(text);
    types[i] = type;
    offset += 8 + length;
  }
  if (offset !== bytes.length) throw bad(offset, `${bytes.length - offset} bytes follow the last of ${count} pieces`);
  return new Map<string, MetadataValue>([
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.pre", "default"],
    ["tokenizer.ggml.tokens", stringTable(pieces)],
    ["tokenizer.ggml.scores", scores],
    ["tokenizer.ggml.token_type", types],
    ["tokenizer.ggml.bos_token_id", BEGIN],
    ["tokenizer.ggml.eos_token_id", END],
    ["tokenizer.ggml.eot_token_id", BEGIN],
    ["tokenizer.ggml.unknown_token_id", UNKNOWN],
    ["tokenizer.ggml.add_bos_token", true],
    ["tokenizer.ggml.add_eos_token", false],
    ["tokenizer.ggml.add_space_prefix", true],
  ]);
}

function toPiece(piece: string, id: number): { text: string; type: number } {
  if (id === UNKNOWN) return { text: "<unk>", type: kinds.unknown };
  if (id === BEGIN) return { text: "<s>", type: kinds.control };
  if (id === END) return { text: "</s>", type: kinds.control };
  if (/^<0x[0-9A-F]{2}>$/.test(piece)) return { text: piece, type: kinds.byte };
  return { text: piece.replaceAll(" ", "\u2581"), type: kinds.normal };
}
