/** A generation as the AI SDK's stream of parts: text as it comes, calls of tools when they are whole. */
import type { LanguageModelV3StreamPart, LanguageModelV3Usage } from "@ai-sdk/provider";
import type { Generation } from "../serving/generation.ts";
import { holdCalls } from "../text/hold-calls.ts";
import { answerOf } from "./answer.ts";
import type { Settings } from "./settings.ts";

export function streamOf(
  run: Generation,
  settings: Settings,
  wantsRaw: boolean,
  modelId: string,
): ReadableStream<LanguageModelV3StreamPart> {
  const parts = partsOf(run, settings, wantsRaw, modelId);
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    // Leaving the generator leaves the generation, which stops the writing.
    async cancel() {
      await parts.return();
    },
  });
}

async function* partsOf(
  run: Generation,
  settings: Settings,
  wantsRaw: boolean,
  modelId: string,
): AsyncGenerator<LanguageModelV3StreamPart, void, void> {
  yield { type: "stream-start", warnings: settings.warnings };
  yield { type: "response-metadata", id: `frugal_${crypto.randomUUID()}`, timestamp: new Date(), modelId };
  const text = { id: "0", isOpen: false };
  const holding = holdCalls(settings.calls);
  const say = function* (delta: string): Generator<LanguageModelV3StreamPart> {
    if (delta === "") return;
    if (!text.isOpen) yield { type: "text-start", id: text.id };
    text.isOpen = true;
    yield { type: "text-delta", id: text.id, delta };
  };
  try {
    for await (const part of run) {
      if (wantsRaw) yield { type: "raw", rawValue: part };
      yield* say(holding.push(part.text));
    }
  } catch (error) {
    // The SDK knows an abort by the stream's own failure, and tells `onError` of what comes as a part.
    if (settings.options.signal?.aborted === true) throw error;
    yield { type: "error", error };
    yield { type: "finish", finishReason: { unified: "error", raw: undefined }, usage: unknownUsage };
    return;
  }
  const { content, finishReason, usage, providerMetadata } = answerOf(await run, {
    ...settings,
    calls: holding.isHolding() ? settings.calls : "none",
  });
  if (holding.isHolding())
    for (const part of content) {
      if (part.type === "text") yield* say(part.text);
      if (part.type !== "tool-call") continue;
      const { toolCallId: id, toolName, input: delta } = part;
      yield { type: "tool-input-start", id, toolName };
      yield { type: "tool-input-delta", id, delta };
      yield { type: "tool-input-end", id };
      yield part;
    }
  if (text.isOpen) yield { type: "text-end", id: text.id };
  yield { type: "finish", finishReason, usage, providerMetadata };
}

const unknownUsage: LanguageModelV3Usage = {
  inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: undefined, text: undefined, reasoning: undefined },
};
