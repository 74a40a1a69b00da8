/** Conversations to prompts, by the template that comes with a model, so that nothing a message says can pose as the template's own. */
import { FrugalError, nearest } from "../tensor/error.ts";
import { compileTemplate, formatTime, type TemplateLimits } from "./jinja-run.ts";
import { neutraliser } from "./neutralise.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A message as OpenAI's API has it; what else a template reads (name, tool_calls, tool_call_id, reasoning_content) passes through. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly Readonly<Record<string, unknown>>[] | null;
  readonly [key: string]: unknown;
}

export interface ChatOptions {
  /** End with the opening of the assistant's turn. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** Tools in OpenAI's form. */
  readonly tools?: readonly unknown[];
  /** Documents for templates that take some. */
  readonly documents?: readonly unknown[];
  /** Variables of the template's own, such as enable_thinking. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** Roles beyond the usual ones. */
  readonly roles?: readonly string[];
}

export interface ChatTemplate {
  readonly source: string;
  /** The prompt as text. @throws FRUGAL_BAD_ARGUMENT where the template or we refuse the conversation, FRUGAL_UNSUPPORTED beyond the limits. */
  render(messages: readonly ChatMessage[], options?: ChatOptions): string;
}

/** Text of the special tokens that templates write themselves. */
export interface TemplateTokens {
  readonly bos?: string | undefined;
  readonly eos?: string | undefined;
  readonly unknown?: string | undefined;
  readonly padding?: string | undefined;
}

const limits: TemplateLimits = { steps: 5_000_000, characters: 32_000_000 };
/** Roles that templates of published models know. */
export const usualRoles: readonly string[] = [
  "system",
  "user",
  "assistant",
  "tool",
  "developer",
  "function",
  "ipython",
  "model",
  "context",
  "documents",
  "control",
  "tool_response",
  "environment",
];

/**
 * A template, compiled. Rendering stops after 5,000,000 steps or at strings of 32,000,000 characters, so a hostile one cannot hang;
 * one single filter on long strings may still take seconds.
 * @throws FRUGAL_BAD_FILE where it is no template.
 */
export function chatTemplate(source: string, tokens: TemplateTokens = {}, bounds: TemplateLimits = limits): ChatTemplate {
  const program = compileTemplate(source);
  return {
    source,
    render(messages, { addGenerationPrompt = true, tools, documents, variables = {}, roles = [] } = {}) {
      checkMessages(messages, roles);
      const run = (absent: unknown): string =>
        program.run(
          {
            bos_token: tokens.bos ?? "",
            eos_token: tokens.eos ?? "",
            unk_token: tokens.unknown ?? "",
            pad_token: tokens.padding ?? "",
            // Two variables of one published family, beside those that all templates know.
            datetime: formatTime(new Date(), "%b %d %Y %H:%M:%S"),
            functions: tools === undefined ? "" : JSON.stringify(tools, undefined, 2),
            ...variables,
            messages,
            add_generation_prompt: addGenerationPrompt,
            tools: tools ?? absent,
            documents: documents ?? absent,
          },
          bounds,
        );
      // transformers passes None for what is absent; some templates were only ever run with a list, or with nothing.
      let refusal: unknown;
      for (const absent of [null, undefined, []]) {
        try {
          return run(absent);
        } catch (error) {
          if (!(error instanceof FrugalError) || error.code !== "FRUGAL_BAD_ARGUMENT") throw error;
          refusal ??= error;
        }
      }
      throw refusal;
    },
  };
}

/** Texts of a tokenizer's special tokens, for `chatTemplate`. */
export function templateTokens(tokenizer: Tokenizer): TemplateTokens {
  const text = (id: number | undefined): string | undefined => (id === undefined ? undefined : tokenizer.pieceText(id));
  return { bos: text(tokenizer.bos), eos: text(tokenizer.eos), unknown: text(tokenizer.unknown), padding: text(tokenizer.padding) };
}

/** A conversation whose strings cannot pose as special tokens: how it reads, in whole or in part, and the ids of that. */
export interface SafeChat {
  readonly messages: readonly ChatMessage[];
  /** The text with guards in it. Any of the safe messages, perhaps with marks in their contents. */
  render(messages: readonly ChatMessage[], addGenerationPrompt: boolean): string;
  /** Of a rendered text, or of its beginning. BOS comes first exactly once where the tokenizer adds one. */
  encode(rendered: string): Int32Array;
}

export type SafeChats = (messages: readonly ChatMessage[], options?: Omit<ChatOptions, "addGenerationPrompt">) => SafeChat;

/** Made once for many conversations. */
export function safeChats(tokenizer: Tokenizer, template: ChatTemplate): SafeChats {
  const neutral = neutraliser(tokenizer.specialTexts, [template.source]);
  return (messages, options = {}) => safeChat(tokenizer, template, neutral, messages, options);
}

function safeChat(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  neutral: ReturnType<typeof neutraliser>,
  messages: readonly ChatMessage[],
  options: Omit<ChatOptions, "addGenerationPrompt">,
): SafeChat {
  const untrusted = { messages, tools: options.tools, documents: options.documents, variables: options.variables };
  const { guard, apply } = neutral(stringsIn(untrusted));
  const safe = apply(untrusted) as { messages: readonly ChatMessage[] } & Pick<ChatOptions, "tools" | "documents" | "variables">;
  // A template may write JSON in ASCII.
  const escaped = `\\u${guard.charCodeAt(0).toString(16)}`;
  return {
    messages: safe.messages,
    render: (some, addGenerationPrompt) =>
      template
        .render(some, {
          ...options,
          addGenerationPrompt,
          ...(safe.tools === undefined ? {} : { tools: safe.tools }),
          ...(safe.documents === undefined ? {} : { documents: safe.documents }),
          ...(safe.variables === undefined ? {} : { variables: safe.variables }),
        })
        .replaceAll(escaped, guard),
    encode(rendered) {
      const ids = tokenizer.encodeGuarded(rendered, guard);
      if (!tokenizer.addBos || tokenizer.bos === undefined || ids[0] === tokenizer.bos) return ids;
      const withBos = new Int32Array(ids.length + 1);
      withBos[0] = tokenizer.bos;
      withBos.set(ids, 1);
      return withBos;
    },
  };
}

/**
 * Token ids of a conversation. Special tokens that the template writes become special ids; those that stand in messages, tools,
 * documents and variables stay text, whatever the template does with them, and no two strings can be put together into one.
 * BOS comes first exactly once where the tokenizer adds one.
 */
export function encodeChat(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  options?: ChatOptions,
): Int32Array {
  return chatEncoder(tokenizer, template)(messages, options);
}

/** `encodeChat`, made once for many conversations. */
export function chatEncoder(
  tokenizer: Tokenizer,
  template: ChatTemplate,
): (messages: readonly ChatMessage[], options?: ChatOptions) => Int32Array {
  const safe = safeChats(tokenizer, template);
  return (messages, { addGenerationPrompt = true, ...options } = {}) => {
    const chat = safe(messages, options);
    return chat.encode(chat.render(chat.messages, addGenerationPrompt));
  };
}

/** For models without a template: turns of `<|im_start|>` where the vocabulary has them, else plain "role: text". */
export function fallbackTemplate(tokenizer: Tokenizer): ChatTemplate {
  const hasTurns = tokenizer.idOf("<|im_start|>") !== undefined && tokenizer.idOf("<|im_end|>") !== undefined;
  const source = hasTurns
    ? "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + (m.content or '') + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    : "{% for m in messages %}{{ m.role + ': ' + (m.content or '') + '\\n\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";
  return chatTemplate(source, templateTokens(tokenizer));
}

/** Templates put roles right beside their own marks, so a role must be one that is known. */
function checkMessages(messages: readonly ChatMessage[], roles: readonly string[]): void {
  const known = [...usualRoles, ...roles];
  for (const [i, { role, content, ...others }] of messages.entries()) {
    const says = typeof content === "string" || Array.isArray(content);
    if (!says && !((content === null || content === undefined) && Object.keys(others).length > 0))
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `chat: message ${i} has no content; give a text, or a list of parts`, { message: i });
    if (known.includes(role)) continue;
    const near = typeof role === "string" ? nearest(role, known) : undefined;
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `chat: the role ${JSON.stringify(role)} is not known; ${near === undefined ? `there are ${known.join(", ")}` : `did you mean ${JSON.stringify(near)}?`}`,
      { role: String(role), near },
    );
  }
}

function* stringsIn(value: unknown, level = 0): Generator<string> {
  if (typeof value === "string") yield value;
  if (typeof value !== "object" || value === null || level > 64) return;
  for (const [key, item] of Object.entries(value)) {
    yield key;
    yield* stringsIn(item, level + 1);
  }
}
