/** Which tokens end a reply. Files seldom say it; the names that published models use are known. */
import { type StringTable, stringAt } from "../tensor/strings.ts";

/** Pieces after which a reply is over, whatever the file calls them. */
const names = [
  "<|eot_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|return|>",
  "<|call|>",
  "<|flush|>",
  "<|calls|>",
  "<end_of_turn>",
  "<|endoftext|>",
  "</s>",
  "<|eom_id|>",
  "<EOT>",
  "_<EOT>",
  "[EOT]",
  "[EOS]",
  "<|end_of_text|>",
  "<end_of_utterance>",
  "<eos>",
  "<turn|>",
  "<|tool_response>",
  "<\uff5cend\u2581of\u2581sentence\uff5c>",
  "[e~[",
  // Padding, repository and file separators of fill-in-the-middle.
  "<|fim_pad|>",
  "<fim-pad>",
  "<fim_pad>",
  "<|fim_repo|>",
  "<|repo_name|>",
  "<fim-repo>",
  "<reponame>",
  "<|file_sep|>",
];

// Not found by name alone: elsewhere they are ordinary HTML.
const onlyIfControl = new Set(["</s>"]);
const known = new Set([...names, "<|plamo:eos|>"]);
const seconds = new Set([...known].map((name) => new TextEncoder().encode(name)[1]!));

export interface NamedPieces {
  /** Ids of the pieces with a known name. */
  readonly ids: ReadonlyMap<string, number>;
  /** Those that end a reply. */
  readonly ends: ReadonlySet<number>;
}

/** Finds the pieces with known names. @param isControl what the file says of a piece. */
export function endingPieces(pieces: StringTable, isControl: (id: number) => boolean): NamedPieces {
  const ids = new Map<string, number>();
  const { bytes, offsets, length } = pieces;
  for (let id = 0; id < length; id++) {
    const size = offsets[id + 1]! - offsets[id]!;
    const first = bytes[offsets[id]!];
    // Asking for the names' first, second and last bytes first spares decoding every piece.
    if (size < 3 || size > 40 || (first !== 0x3c && first !== 0x5b && first !== 0x5f)) continue;
    if (!seconds.has(bytes[offsets[id]! + 1]!)) continue;
    const last = bytes[offsets[id + 1]! - 1];
    if (last !== 0x3e && last !== 0x5d && last !== 0x5b) continue;
    const name = stringAt(pieces, id);
    if (known.has(name)) ids.set(name, id);
  }
  const ends = new Set<number>();
  for (const name of names) {
    const id = ids.get(name);
    if (id !== undefined && (!onlyIfControl.has(name) || isControl(id))) ends.add(id);
  }
  const has = (name: string): boolean => ids.has(name);
  const without = (name: string): void => void ends.delete(ids.get(name) ?? -1);
  // In these two vocabularies <|end|> closes a part of a reply and not the reply.
  if ((has("<|return|>") && has("<|call|>")) || (has("<|flush|>") && (has("<|call|>") || has("<|calls|>")))) without("<|end|>");
  if (has("<|tool_response>") || has("<|plamo:eos|>")) without("</s>");
  return { ids, ends };
}
