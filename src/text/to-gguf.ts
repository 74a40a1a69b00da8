/** The tokenizer of a Hugging Face directory as metadata of GGUF files: byte-level merges, cut by patterns that the format has a name for. */
import { FrugalError } from "../tensor/error.ts";
import { type MetadataValue, stringAt, stringTable } from "../tensor/strings.ts";
import { tokenizerFromJson } from "./from-json.ts";
import { modelSpec, spellingsOf } from "./json-model.ts";
import { boolean, integer, type JsonRecord, list, record, string } from "./json-read.ts";
import * as patterns from "./patterns.ts";
import { preTokenizers } from "./pre-tokenizers.ts";

const prefix = "tokenizer.ggml.";
/** Piece types of `tokenizer.ggml.token_type`. */
const types = { normal: 1, control: 3, userDefined: 4, unused: 5 } as const;

/**
 * Metadata with which GGUF readers encode as `tokenizerFromJson(tokenizer, config)` does. `size` is the number of rows of the embedding:
 * what is above the vocabulary becomes unused pieces. Throws FRUGAL_UNSUPPORTED for tokenizers other than byte-level merges, for steps that
 * GGUF cannot say, and FRUGAL_BAD_FILE as `tokenizerFromJson` does.
 */
export function tokenizerMetadata(tokenizer: unknown, config: unknown, size: number): Map<string, MetadataValue> {
  const read = tokenizerFromJson(tokenizer, config);
  const file = record(tokenizer, "tokenizer.json");
  const spec = modelSpec(file["model"]);
  const added = list(file["added_tokens"] ?? [], "added_tokens").map((entry, i) => addedToken(record(entry, `added_tokens[${i}]`), i));
  const { pieces } = spellingsOf(spec, added);
  if (pieces.length > size)
    throw new FrugalError("FRUGAL_BAD_FILE", `tokenizer.json: has ${pieces.length} pieces, but the model has ${size} embeddings`, { size });
  if (spec["type"] !== "BPE") throw unsupported(`the model ${JSON.stringify(spec["type"])}`);
  if ((file["normalizer"] ?? null) !== null) throw unsupported("a normalizer");
  const name = preTokenizerName(file["pre_tokenizer"], boolean(spec["ignore_merges"], "model.ignore_merges", false));

  const kinds = new Int32Array(size).fill(types.unused);
  const spelled = Array.from({ length: size }, (_, id) => (id < pieces.length ? stringAt(pieces, id) : `[unused${id}]`));
  for (let id = 0; id < pieces.length; id++) if (pieces.offsets[id] !== pieces.offsets[id + 1]) kinds[id] = types.normal;
  for (const { id } of added) kinds[id] = read.isSpecial(id) ? types.control : types.userDefined;
  const rules = list(spec["merges"], "model.merges").map((rule) =>
    typeof rule === "string"
      ? rule
      : list(rule, "model.merges")
          .map((piece) => string(piece, "model.merges"))
          .join(" "),
  );
  const ids = { bos_token_id: read.bos, eos_token_id: read.eos, padding_token_id: read.padding };
  return new Map<string, MetadataValue>([
    [`${prefix}model`, "gpt2"],
    [`${prefix}pre`, name],
    [`${prefix}tokens`, stringTable(spelled)],
    [`${prefix}token_type`, kinds],
    [`${prefix}merges`, stringTable(rules)],
    ...Object.entries(ids).flatMap(([key, id]): [string, MetadataValue][] => (id === undefined ? [] : [[prefix + key, id]])),
    [`${prefix}add_bos_token`, read.addBos],
    [`${prefix}add_eos_token`, read.addEos],
  ]);
}

const addedToken = (entry: JsonRecord, i: number): { id: number; text: string } => ({
  id: integer(entry["id"], `added_tokens[${i}].id`, 1 << 24),
  text: string(entry["content"], `added_tokens[${i}].content`),
});

/** The name under which readers of GGUF find the patterns that cut text into words, and whether those that are pieces are taken whole. */
function preTokenizerName(value: unknown, wholeWords: boolean): string {
  const spec = record(value, "pre_tokenizer");
  const steps = spec["type"] === "Sequence" ? list(spec["pretokenizers"], "pre_tokenizer.pretokenizers") : [spec];
  const cuts = steps.flatMap((step, i) => cutOf(record(step, "pre_tokenizer"), i === steps.length - 1));
  const found = Object.entries(preTokenizers).find(
    ([, row]) => row.cuts.join("\n") === cuts.join("\n") && (row.wholeWords ?? false) === wholeWords && row.characters !== true,
  );
  if (found !== undefined) return found[0];
  throw unsupported(
    `a pre_tokenizer that cuts by ${cuts.map((cut) => JSON.stringify(cut)).join(" and ")}${wholeWords ? " with ignore_merges" : ""}`,
  );
}

function cutOf(step: JsonRecord, isLast: boolean): string[] {
  if (step["type"] === "ByteLevel" && isLast) {
    if (boolean(step["add_prefix_space"], "pre_tokenizer.add_prefix_space", true)) throw unsupported("add_prefix_space");
    return boolean(step["use_regex"], "pre_tokenizer.use_regex", true) ? [patterns.gpt2] : [];
  }
  if (step["type"] === "Split" && step["behavior"] === "Isolated" && step["invert"] !== true) {
    const regex = string(record(step["pattern"], "pre_tokenizer.pattern")["Regex"], "pre_tokenizer.pattern.Regex");
    return [patterns.respelled.get(regex) ?? regex];
  }
  throw unsupported(`the pre_tokenizer ${JSON.stringify(step["type"])}`);
}

const unsupported = (what: string): FrugalError =>
  new FrugalError("FRUGAL_UNSUPPORTED", `tokenizer.json: ${what} cannot be said in a GGUF file; keep the model as a directory`, { what });
