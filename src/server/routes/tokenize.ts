/** POST /tokenize and /detokenize, in vLLM's shape. */
import { Hono } from "hono";
import { z } from "zod";
import { type Prompt, promptEncoder } from "../../serving/prompt.ts";
import { checkCharacters } from "../check-length.ts";
import type { ServerContext, ServerEnv } from "../context.ts";
import { HttpError } from "../errors.ts";
import { findModel } from "../find-model.ts";
import { type Message, messageSchema, messagesOf } from "../messages.ts";
import { readJson } from "../read-json.ts";
import { type BodyShape, flag, type Maybe, only, record, text } from "../schema.ts";

export interface TokenizeRequest {
  readonly model?: Maybe<string>;
  readonly prompt?: Maybe<string>;
  readonly messages?: Maybe<readonly Message[]>;
  readonly add_special_tokens?: Maybe<boolean>;
  readonly return_token_strs?: Maybe<boolean>;
  readonly add_generation_prompt?: Maybe<boolean>;
  readonly tools?: Maybe<readonly unknown[]>;
  readonly chat_template_kwargs?: Maybe<Readonly<Record<string, unknown>>>;
}

export const tokenizeRequest: BodyShape<TokenizeRequest> = {
  schema: record<TokenizeRequest>({
    model: text,
    prompt: text,
    messages: z.array(messageSchema).min(1).max(10_000).nullish(),
    add_special_tokens: flag,
    return_token_strs: flag,
    add_generation_prompt: only(true, "a conversation is always tokenized as it is answered; leave it out"),
    tools: z.array(z.unknown()).nullish(),
    chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
  }).meta({ oneOf: [{ required: ["prompt"] }, { required: ["messages"] }] }),
  refused: {
    continue_final_message: "a conversation is always tokenized as it is answered; leave it out",
    chat_template: "the model's own template is used; leave it out",
  },
};

export interface DetokenizeRequest {
  readonly model?: Maybe<string>;
  readonly tokens: readonly number[];
}

export const detokenizeRequest: BodyShape<DetokenizeRequest> = {
  schema: record<DetokenizeRequest>({ model: text, tokens: z.array(z.int().min(0)).max(1_000_000) }),
  refused: {},
};

export function tokenize(context: ServerContext): Hono<ServerEnv> {
  return new Hono<ServerEnv>()
    .post("/tokenize", async (c) => {
      const request = await readJson(c.get("scope"), tokenizeRequest, context.settings.bodyLimit);
      const { model } = findModel(context, request.model);
      const prompt = promptOf(request);
      await checkCharacters(model, prompt);
      const tokenizer = await model.tokenizer();
      const ids =
        typeof prompt === "string"
          ? [...tokenizer.encode(prompt, { addSpecial: request.add_special_tokens ?? true })]
          : (
              await promptEncoder(tokenizer, model.base.opened.chatTemplate)(
                prompt,
                {
                  ...(request.tools ? { tools: request.tools } : {}),
                  ...(request.chat_template_kwargs ? { templateVariables: request.chat_template_kwargs } : {}),
                },
                false,
              )
            ).ids;
      return c.json({
        count: ids.length,
        max_model_len: model.contextLength,
        tokens: ids,
        token_strs: request.return_token_strs === true ? ids.map((id) => tokenizer.pieceText(id)) : null,
      });
    })
    .post("/detokenize", async (c) => {
      const request = await readJson(c.get("scope"), detokenizeRequest, context.settings.bodyLimit);
      const tokenizer = await findModel(context, request.model).model.tokenizer();
      return c.json({ prompt: tokenizer.decode(request.tokens) });
    });
}

function promptOf({ prompt, messages, add_special_tokens: addSpecial }: TokenizeRequest): Prompt {
  if (typeof prompt === "string" && !messages) return prompt;
  if (!messages || typeof prompt === "string")
    throw new HttpError(400, "body: has neither or both of prompt and messages; give one of them", { param: "prompt" });
  if (addSpecial === false)
    throw new HttpError(400, "add_special_tokens: the template of a conversation writes its own; leave it out", {
      param: "add_special_tokens",
    });
  return messagesOf(messages);
}
