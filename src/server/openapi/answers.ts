/** What endpoints answer, as schemas: for the description of the API, and for tests that hold answers against them. */
import { z } from "zod";

const count = z.int().min(0);
const usage = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: z.object({ cached_tokens: count }),
});
const embeddingUsage = z.object({ prompt_tokens: count, total_tokens: count });
const timings = z.record(z.string(), z.number());
const finish = z.enum(["stop", "length", "tool_calls"]);

const tokenLogprob = z.object({ token: z.string(), logprob: z.number(), bytes: z.array(count) });
const toolCall = z.object({
  id: z.string(),
  type: z.literal("function"),
  function: z.object({ name: z.string(), arguments: z.string() }),
});

export const errorAnswer: z.ZodType = z.object({
  error: z.object({ message: z.string(), type: z.string(), param: z.string().nullable(), code: z.string().nullable() }),
});

export const chatCompletion: z.ZodType = z.object({
  id: z.string(),
  object: z.literal("chat.completion"),
  created: count,
  model: z.string(),
  system_fingerprint: z.string(),
  choices: z.array(
    z.object({
      index: count,
      message: z.object({
        role: z.literal("assistant"),
        content: z.string().nullable(),
        refusal: z.null(),
        tool_calls: z.array(toolCall).optional(),
      }),
      logprobs: z.object({ content: z.array(tokenLogprob.extend({ top_logprobs: z.array(tokenLogprob) })), refusal: z.null() }).nullable(),
      finish_reason: finish,
    }),
  ),
  usage,
  timings,
});

export const completion: z.ZodType = z.object({
  id: z.string(),
  object: z.literal("text_completion"),
  created: count,
  model: z.string(),
  choices: z.array(z.object({ index: count, text: z.string(), logprobs: z.unknown(), finish_reason: finish })),
  usage,
});

export const response: z.ZodType = z.object({
  id: z.string(),
  object: z.literal("response"),
  created_at: count,
  status: z.enum(["in_progress", "completed", "incomplete", "failed"]),
  model: z.string(),
  output: z.array(
    z.union([
      z.object({
        id: z.string(),
        type: z.literal("message"),
        role: z.literal("assistant"),
        status: z.string(),
        content: z.array(
          z.object({ type: z.literal("output_text"), text: z.string(), annotations: z.array(z.unknown()), logprobs: z.array(z.unknown()) }),
        ),
      }),
      z.object({
        id: z.string(),
        type: z.literal("function_call"),
        status: z.string(),
        call_id: z.string(),
        name: z.string(),
        arguments: z.string(),
      }),
    ]),
  ),
  usage: z
    .object({
      input_tokens: count,
      input_tokens_details: z.object({ cached_tokens: count }),
      output_tokens: count,
      output_tokens_details: z.object({ reasoning_tokens: count }),
      total_tokens: count,
    })
    .nullable(),
});

export const deletedResponse: z.ZodType = z.object({ id: z.string(), object: z.literal("response"), deleted: z.literal(true) });

const modelCard = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: count,
  owned_by: z.string(),
  root: z.string(),
  parent: z.string().nullable(),
  max_model_len: count,
});
export const model: z.ZodType = modelCard;
export const modelList: z.ZodType = z.object({ object: z.literal("list"), data: z.array(modelCard) });

export const embeddingList: z.ZodType = z.object({
  object: z.literal("list"),
  data: z.array(z.object({ object: z.literal("embedding"), index: count, embedding: z.union([z.array(z.number()), z.string()]) })),
  model: z.string(),
  usage: embeddingUsage,
});

export const ranking: z.ZodType = z.object({
  id: z.string(),
  object: z.literal("list"),
  model: z.string(),
  results: z.array(z.object({ index: count, relevance_score: z.number(), document: z.object({ text: z.string() }).optional() })),
  usage: embeddingUsage,
});

export const tokens: z.ZodType = z.object({
  count,
  max_model_len: count,
  tokens: z.array(count),
  token_strs: z.array(z.string()).nullable(),
});
export const detokenized: z.ZodType = z.object({ prompt: z.string() });
export const status: z.ZodType = z.object({ status: z.string() });
export const version: z.ZodType = z.object({ version: z.string() });
