/**
 * A conversation as ids, with the assistant's answers marked, whatever its template does. The template is run on the messages with marks in
 * them, and on their beginnings with the opening of an answer, as when the model is asked: what the model would write is the answer.
 */
import { FrugalError } from "../../tensor/error.ts";
import {
  type ChatMessage,
  type ChatOptions,
  type ChatTemplate,
  type SafeChat,
  type SafeChats,
  safeChats,
} from "../../text/chat-template.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";

export interface ScoredIds {
  readonly ids: Int32Array;
  /** 1 for each id of an answer, the one that ends it included. */
  readonly scored: Uint8Array;
}

export interface AnswerOptions extends Omit<ChatOptions, "addGenerationPrompt"> {
  /** Answers before this message are not marked. Default 0. */
  readonly from?: number;
}

/** A stretch of the rendered text; a place that the template hides is undefined. */
interface Place {
  readonly start: number | undefined;
  readonly end: number | undefined;
}

const isAnswer = ({ role }: ChatMessage): boolean => role === "assistant" || role === "model";

/**
 * Made once for many conversations. The ids are those of `encodeChat` up to the end of the last answer, and an end of text where the template ends it with none. A token that
 * holds the end of a prompt and the beginning of an answer belongs to the answer.
 * @throws FRUGAL_BAD_ARGUMENT where there is no answer or the template refuses, FRUGAL_UNSUPPORTED where it does not show where answers are.
 */
export function answerEncoder(tokenizer: Tokenizer, template: ChatTemplate): AnswerEncoder {
  const safe = safeChats(tokenizer, template);
  return (messages, { from = 0, ...options } = {}) => encodeAnswers(tokenizer, safe, messages, from, options);
}

export type AnswerEncoder = (messages: readonly ChatMessage[], options?: AnswerOptions) => ScoredIds;

function encodeAnswers(
  tokenizer: Tokenizer,
  safe: SafeChats,
  messages: readonly ChatMessage[],
  from: number,
  options: Omit<ChatOptions, "addGenerationPrompt">,
): ScoredIds {
  const answers = messages.flatMap((message, i) => (i >= from && isAnswer(message) ? [i] : []));
  if (answers.length === 0)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", "chat: there is no answer to learn from; give a message of the role assistant");
  const chat = safe(messages, options);
  const text = chat.render(chat.messages, false);
  const ids = chat.encode(text);
  const map = tokenMap(tokenizer, ids, (end) => chat.encode(text.slice(0, end)));
  const reading: Reading = { tokenizer, chat, text, ids, map, places: contentPlaces(chat, text) };
  const scored = new Uint8Array(ids.length);
  let last: AnswerEnd = { end: 0, isClosed: true };
  for (const i of answers) {
    const start = answerStart(reading, i);
    last = answerEnd(reading, i, start);
    scored.fill(1, map.before(start), last.end);
  }
  const [kept, marks] = [ids.subarray(0, last.end), scored.subarray(0, last.end)];
  const end = last.isClosed ? [] : endOfText(tokenizer);
  return { ids: Int32Array.of(...kept, ...end), scored: Uint8Array.of(...marks, ...end.map(() => 1)) };
}

interface Reading {
  readonly tokenizer: Tokenizer;
  readonly chat: SafeChat;
  readonly text: string;
  readonly ids: Int32Array;
  readonly map: TokenMap;
  readonly places: readonly Place[];
}

/** As a count of tokens; and whether the last of them ends a generation. */
interface AnswerEnd {
  readonly end: number;
  readonly isClosed: boolean;
}

/** The id that ends a text; none where the vocabulary has none. */
export function endOfText({ eos, endOfGeneration }: Tokenizer): number[] {
  return eos === undefined ? [...endOfGeneration].slice(0, 1) : [eos];
}

/** An answer begins after the prompt that the model is given; where later messages change what stands before it, with its content. */
function answerStart({ chat, text, places }: Reading, i: number): number {
  const { start } = places[i]!;
  const prompt = rendered(chat, i, true);
  if (prompt !== undefined && text.startsWith(prompt) && prompt.length <= (start ?? Infinity)) return prompt.length;
  if (start !== undefined) return start;
  throw hidden(i);
}

/** An answer ends with the id that ends a generation; where the template writes none, as far as the template's text about it goes. */
function answerEnd({ tokenizer, chat, text, ids, map, places }: Reading, i: number, start: number): AnswerEnd {
  const next = places.slice(i + 1).find((place) => place.start !== undefined)?.start;
  const limit = next === undefined ? ids.length : map.before(next);
  const turn = (): number => Math.min(limit, map.upTo(turnEnd(chat, text, i) ?? 0));
  const { end } = places[i]!;
  const isEnding = (id: number): boolean => tokenizer.endOfGeneration.has(id);
  if (end === undefined) {
    const from = map.upTo(start);
    const all = turn();
    if (all <= from) throw hidden(i);
    const ending = ids.subarray(from, all).findLastIndex(isEnding);
    return ending < 0 ? { end: all, isClosed: false } : { end: from + ending + 1, isClosed: true };
  }
  const content = map.upTo(end);
  let at = content;
  while (at < limit && !isEnding(ids[at]!) && !tokenizer.isSpecial(ids[at]!)) at++;
  const special = at;
  // Other special tokens may stand before the one that ends the generation.
  while (at < limit && !isEnding(ids[at]!) && tokenizer.isSpecial(ids[at]!)) at++;
  if (at < limit && isEnding(ids[at]!)) return { end: at + 1, isClosed: true };
  return { end: Math.max(content, Math.min(turn(), special + 1)), isClosed: false };
}

/** Where the text about a message ends, if what follows does not change it. */
function turnEnd(chat: SafeChat, text: string, i: number): number | undefined {
  const turn = rendered(chat, i + 1, false);
  return turn !== undefined && text.startsWith(turn) ? turn.length : undefined;
}

const hidden = (i: number): FrugalError =>
  new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `chat: the template does not show where the answer of message ${i} stands; give prompt and completion as texts instead`,
    { message: i },
  );

/** The first messages as text; undefined where the template wants more of them. */
function rendered(chat: SafeChat, count: number, addGenerationPrompt: boolean): string | undefined {
  try {
    return chat.render(chat.messages.slice(0, count), addGenerationPrompt);
  } catch (error) {
    if (error instanceof FrugalError && error.code === "FRUGAL_BAD_ARGUMENT") return undefined;
    throw error;
  }
}

/** Where the content of each message stands in `text`. Marks that change what a template does are tried one message at a time. */
function contentPlaces(chat: SafeChat, text: string): Place[] {
  const all = chat.messages.map((_, i) => i);
  const mark = marker(text, chat.messages);
  const together = markedPlaces(chat, text, all, mark);
  return together ?? all.map((i) => markedPlaces(chat, text, [i], mark)?.[0] ?? { start: undefined, end: undefined });
}

type Mark = (i: number) => readonly [string, string];

/** Two characters for each message that occur in none of them: from a plane that is for private use. */
function marker(text: string, messages: readonly ChatMessage[]): Mark {
  const everything = text + JSON.stringify(messages);
  let base = 0xf0000;
  const used = (everything.match(/[\u{f0000}-\u{ffffd}]/gu) ?? []).map((point) => point.codePointAt(0)!);
  if (used.length > 0) base = Math.max(...new Set(used)) + 1;
  return (i) => {
    if (base + 2 * i + 1 <= 0xffffd) return [String.fromCodePoint(base + 2 * i), String.fromCodePoint(base + 2 * i + 1)];
    throw new FrugalError("FRUGAL_UNSUPPORTED", `chat: ${messages.length} messages are more than can be told apart; break the row up`);
  };
}

/** Undefined where the template reads otherwise with these messages marked. */
function markedPlaces(chat: SafeChat, text: string, which: readonly number[], mark: Mark): Place[] | undefined {
  let found: string;
  try {
    found = chat.render(
      chat.messages.map((message, i) => (which.includes(i) ? marked(message, mark(i)) : message)),
      false,
    );
  } catch (error) {
    if (error instanceof FrugalError && error.code === "FRUGAL_BAD_ARGUMENT") return undefined;
    throw error;
  }
  const marks = new Map(which.flatMap((i) => mark(i).map((character) => [character, [] as number[]] as const)));
  let plain = "";
  for (const part of found.split(/([\u{f0000}-\u{ffffd}])/u)) {
    const at = marks.get(part);
    if (at === undefined) plain += part;
    else at.push(plain.length);
  }
  if (plain !== text) return undefined;
  // What is written twice has no one place.
  const only = (character: string): number | undefined => (marks.get(character)!.length === 1 ? marks.get(character)![0] : undefined);
  return which.map((i) => ({ start: only(mark(i)[0]), end: only(mark(i)[1]) }));
}

/** Marks stand inside the white space around a content, which templates may strip. */
function marked(message: ChatMessage, [start, end]: readonly [string, string]): ChatMessage {
  const before = (text: string): string => text.replace(/^\s*/u, (space) => space + start);
  const after = (text: string): string => text.trimEnd() + end + text.slice(text.trimEnd().length);
  const { content } = message;
  if (typeof content === "string") return content.trim() === "" ? message : { ...message, content: after(before(content)) };
  if (!Array.isArray(content)) return message;
  const says = (part: Readonly<Record<string, unknown>>): boolean => typeof part["text"] === "string" && part["text"].trim() !== "";
  const [first, last] = [content.findIndex(says), content.findLastIndex(says)];
  const parts = content.map((part: Readonly<Record<string, unknown>>, i) => {
    let text = part["text"] as string;
    if (i === last) text = after(text);
    if (i === first) text = before(text);
    return i === first || i === last ? { ...part, text } : part;
  });
  return { ...message, content: parts };
}

export interface TokenMap {
  /** How many tokens end at or before a place in the text. */
  before(place: number): number;
  /** How many tokens begin before it. */
  upTo(place: number): number;
}

/** Tokens of a text against places in it, by the tokens of its beginnings: `encode` gives those of the text up to a place. */
export function tokenMap(tokenizer: Tokenizer, ids: Int32Array, encode: (place: number) => Int32Array): TokenMap {
  const bytesOf = (id: number): number => (id < tokenizer.vocabularySize ? tokenizer.pieceBytes(id).length : 0);
  const find = (place: number): { readonly count: number; readonly isCut: boolean } => {
    const beginning = encode(place);
    let count = 0;
    while (count < beginning.length && beginning[count] === ids[count]) count++;
    // From here on the same text is cut otherwise: its bytes tell which tokens are still before the place.
    let left = beginning.subarray(count).reduce((sum, id) => sum + bytesOf(id), 0);
    while (left > 0 && count < ids.length && bytesOf(ids[count]!) <= left) left -= bytesOf(ids[count++]!);
    return { count, isCut: left > 0 };
  };
  return {
    before: (place) => find(place).count,
    upTo: (place) => {
      const { count, isCut } = find(place);
      return isCut && count < ids.length ? count + 1 : count;
    },
  };
}
