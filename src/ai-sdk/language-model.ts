/** A text model as a language model of the AI SDK. */
import type { LanguageModelV3 } from "@ai-sdk/provider";
import type { FrugalModel } from "../serving/model.ts";
import { FrugalError } from "../tensor/error.ts";
import { answerOf } from "./answer.ts";
import { messagesOf } from "./messages.ts";
import { settingsOf } from "./settings.ts";
import { streamOf } from "./stream.ts";

/**
 * A text model in this process as a language model for `generateText`, `streamText` and the rest of the AI SDK. `toolChoice: "required"`, a
 * named tool and a JSON `responseFormat` are kept to by a token mask, whatever the model would rather say; without `temperature` the likeliest
 * token is taken. Provider options under `frugal` are options of `model.generate`, such as `minP`, `adapter` or `priority`; parts that are
 * no text, and tools that providers define, are refused or named in `warnings`.
 * @throws FRUGAL_UNSUPPORTED for an encoder.
 * ```ts
 * import { load } from "frugal";
 * import { frugal } from "frugal/ai-sdk";
 * import { streamText } from "ai";
 * await using model = await load("model.gguf");
 * const { textStream } = streamText({ model: frugal(model), prompt: "Name three rivers.", maxOutputTokens: 64 });
 * for await (const text of textStream) process.stdout.write(text);
 * ```
 */
export function frugal(model: FrugalModel): LanguageModelV3 {
  if (model.kind !== "text")
    throw new FrugalError("FRUGAL_UNSUPPORTED", `ai-sdk: ${model.name} is an encoder and writes no text; use frugalEmbedding`, {
      kind: model.kind,
    });
  return {
    specificationVersion: "v3",
    provider: "frugal",
    modelId: model.name,
    supportedUrls: {},
    async doGenerate(call) {
      const settings = settingsOf(call);
      return { ...answerOf(await model.chat(messagesOf(call.prompt), settings.options), settings), warnings: settings.warnings };
    },
    async doStream(call) {
      const settings = settingsOf(call);
      return {
        stream: streamOf(model.chat(messagesOf(call.prompt), settings.options), settings, call.includeRawChunks === true, model.name),
      };
    },
  };
}
