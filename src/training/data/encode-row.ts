/** Rows to examples: what is text becomes ids, as the model will be given it, and what is to be learned is marked. */
import { FrugalError } from "../../tensor/error.ts";
import type { ChatMessage, ChatTemplate } from "../../text/chat-template.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { type AnswerEncoder, answerEncoder, endOfText, type ScoredIds, tokenMap } from "./answers.ts";
import type { Example, Preference } from "./example.ts";
import type { ChatFields, Row, Said } from "./rows.ts";

export interface Encoding {
  /** Without it only ids are data. */
  readonly tokenizer?: Tokenizer | undefined;
  /** For rows of messages. */
  readonly template?: ChatTemplate | undefined;
  readonly vocabularySize: number;
}

/** Encodes rows one after the other; a long text is not cut yet. Both throw FRUGAL_BAD_ARGUMENT, FRUGAL_UNSUPPORTED. */
export interface RowEncoder {
  row(row: Exclude<Row, { kind: "preference" }>): ScoredIds;
  /** The same prompt with each answer; only answers count. */
  preference(row: Extract<Row, { kind: "preference" }>, name: string): Preference;
}

export function rowEncoder(encoding: Encoding): RowEncoder {
  let answers: AnswerEncoder | undefined;
  const messages = (all: readonly ChatMessage[], { tools, variables }: ChatFields, from = 0): ScoredIds => {
    answers ??= answerEncoder(needed(encoding.tokenizer, "messages"), needed(encoding.template, "messages"));
    return answers(all, { from, ...(tools === undefined ? {} : { tools }), ...(variables === undefined ? {} : { variables }) });
  };
  const completion = (prompt: string, answer: string): ScoredIds => encodeCompletion(prompt, answer, needed(encoding.tokenizer, "texts"));
  return {
    row(row) {
      switch (row.kind) {
        case "messages":
          return messages(row.messages, row.chat);
        case "completion":
          return completion(row.prompt, row.completion);
        case "text":
          return allScored(encodeText(row.text, needed(encoding.tokenizer, "texts"), true));
        case "ids":
          return allScored(knownIds(row.ids, encoding.vocabularySize));
      }
    },
    preference({ prompt, chosen, rejected, chat }, name) {
      const encode = (answer: Said): Example => {
        if (typeof prompt === "string" && typeof answer === "string") return { name, ...completion(prompt, answer) };
        const [before, after] = [prompt as readonly ChatMessage[], answer as readonly ChatMessage[]];
        return { name, ...messages([...before, ...after], chat, before.length) };
      };
      return { name, chosen: encode(chosen), rejected: encode(rejected) };
    },
  };
}

function knownIds(ids: readonly number[], vocabularySize: number): Int32Array {
  const beyond = ids.find((id) => id >= vocabularySize);
  if (beyond === undefined) return Int32Array.from(ids);
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `"ids" holds ${beyond}, but the vocabulary has ${vocabularySize}`, { id: beyond });
}

/** The completion and the end of text count. Both texts are cut into tokens together; a token across the border belongs to the completion. */
function encodeCompletion(prompt: string, completion: string, tokenizer: Tokenizer): ScoredIds {
  const whole = prompt + completion;
  const ids = encodeText(whole, tokenizer, true);
  const scored = new Uint8Array(ids.length);
  const map = tokenMap(tokenizer, ids, (place) => encodeText(whole.slice(0, place), tokenizer, false));
  scored.fill(1, map.before(prompt.length));
  return { ids, scored };
}

const allScored = (ids: Int32Array): ScoredIds => ({ ids, scored: new Uint8Array(ids.length).fill(1) });

/** As a prompt of the model; then the end of text, where that is asked for. Special tokens in the text stay text. */
function encodeText(text: string, tokenizer: Tokenizer, ends: boolean): Int32Array {
  const ids = tokenizer.encode(text, { addSpecial: false });
  const { addBos, bos } = tokenizer;
  const before = addBos && bos !== undefined && ids[0] !== bos ? [bos] : [];
  const after = ends ? endOfText(tokenizer) : [];
  const all = new Int32Array(before.length + ids.length + after.length);
  all.set(before);
  all.set(ids, before.length);
  all.set(after, before.length + ids.length);
  return all;
}

function needed<T>(value: T | undefined, rows: "texts" | "messages"): T {
  if (value !== undefined) return value;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `the model has no tokenizer for rows of ${rows}; give token ids as {"ids"}`);
}
