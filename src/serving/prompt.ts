/** What people give as a prompt, as token ids. */
import { FrugalError } from "../tensor/error.ts";
import type { ChatMessage, ChatOptions } from "../text/chat-template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

export type { ChatMessage } from "../text/chat-template.ts";

/** Text to go on with, a conversation to answer, or token ids as they are. */
export type Prompt = string | readonly ChatMessage[] | readonly number[] | Int32Array;

export interface PromptOptions {
  /** Let special tokens written in a text prompt become their ids. Default false: text from outside must not control the model. */
  readonly parseSpecial?: boolean;
  /** Tools for the conversation's template, in OpenAI's form. */
  readonly tools?: readonly unknown[];
  /** Variables of the conversation's template, such as enable_thinking. */
  readonly templateVariables?: Readonly<Record<string, unknown>>;
}
export const promptNames: readonly (keyof PromptOptions)[] = ["parseSpecial", "tools", "templateVariables"];

export interface EncodedPrompt {
  readonly ids: readonly number[];
  /** What is written goes on with the prompt's own text: a space at its start counts. */
  readonly continues: boolean;
}

export type PromptEncoder = (prompt: Prompt, options: PromptOptions, afterOthers: boolean) => Promise<EncodedPrompt>;

export function promptEncoder(tokenizer: Tokenizer, template: string | undefined): PromptEncoder {
  // Templates bring an interpreter with them: loaded where there is a conversation.
  const compiled = once(async () => {
    const chat = await import("../text/chat-template.ts");
    const usual = template === undefined ? chat.fallbackTemplate(tokenizer) : chat.chatTemplate(template, chat.templateTokens(tokenizer));
    return chat.chatEncoder(tokenizer, usual);
  });
  const continuing = (ids: readonly number[]): EncodedPrompt => ({
    ids,
    continues: ids.some((id) => id < tokenizer.vocabularySize && !tokenizer.isSpecial(id)),
  });
  return async (prompt, { parseSpecial = false, tools, templateVariables }, afterOthers) => {
    if (typeof prompt === "string") {
      const ids = [...tokenizer.encode(prompt, { addSpecial: false, parseSpecial })];
      const needsBos = !afterOthers && tokenizer.addBos && tokenizer.bos !== undefined && ids[0] !== tokenizer.bos;
      return continuing(needsBos ? [tokenizer.bos, ...ids] : ids);
    }
    if (isConversation(prompt)) {
      const options: ChatOptions = {
        ...(tools === undefined ? {} : { tools }),
        ...(templateVariables === undefined ? {} : { variables: templateVariables }),
      };
      const encode = await compiled();
      return { ids: [...encode(prompt, options)], continues: false };
    }
    return continuing([...prompt]);
  };
}

/** @throws FRUGAL_BAD_ARGUMENT for what is no prompt at all. */
export function isConversation(prompt: Exclude<Prompt, string>): prompt is readonly ChatMessage[] {
  const entries: readonly unknown[] | Int32Array = prompt;
  if (entries instanceof Int32Array) return false;
  if (Array.isArray(entries) && entries.every((entry) => typeof entry === "number")) return false;
  if (Array.isArray(entries) && entries.every((entry: unknown) => typeof entry === "object" && entry !== null && "role" in entry))
    return true;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", "prompt: is neither text, nor token ids, nor messages with a role; give one of these");
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
