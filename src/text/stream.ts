/** Token ids to text as they come, without ever giving out half a character. */
import type { DecodeOptions, Tokenizer } from "./tokenizer.ts";

export interface TextStream {
  /** The text that `id` completes; empty while a character is still missing bytes. */
  push(id: number): string;
  /** What was held back; bytes that no character came of become U+FFFD. The stream begins anew. */
  end(): string;
}

/** The pushed parts together are `tokenizer.decode` of all ids. */
export function streamText(tokenizer: Tokenizer, { skipSpecial = false }: DecodeOptions = {}): TextStream {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let first = true;
  return {
    push(id) {
      const bytes = tokenizer.pieceBytes(id);
      if (skipSpecial && tokenizer.isSpecial(id)) return "";
      if (bytes.length === 0) return "";
      const drop = first && tokenizer.dropsFirstSpace && bytes[0] === 0x20;
      first = false;
      return decoder.decode(drop ? bytes.subarray(1) : bytes, { stream: true });
    },
    end() {
      first = true;
      return decoder.decode();
    },
  };
}
