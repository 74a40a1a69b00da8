/** The public interface of Frugal. */
export { load, type AdapterSource, type LoadOptions } from "./load.ts";
export type { FrugalModel, LogitsOptions } from "./serving/model.ts";
export type { BackendName } from "./backends/choose.ts";
export type { HubSettings, OpenProgress } from "./models/open-checkpoint.ts";
export type { Generation, GenerationResult, Part, Timings } from "./serving/generation.ts";
export type { GenerateOptions } from "./serving/writer.ts";
export type { SamplingOptions } from "./serving/sampling.ts";
export type { Alternative } from "./serving/logprobs.ts";
export type { ChatMessage, Prompt, PromptOptions } from "./serving/prompt.ts";
export type { Session } from "./serving/session.ts";
export type { EmbedOptions } from "./serving/embed.ts";
export type { Amount, Inspection } from "./serving/inspect.ts";
export type { DecodeOptions, EncodeOptions, Tokenizer } from "./text/tokenizer.ts";
export { exportGguf, type ExportOptions } from "./models/llama-gguf.ts";
export type { Backend, CacheFormat, MemoryReport } from "./backends/backend.ts";
export { FrugalError, type ErrorCode, type ErrorFields } from "./tensor/error.ts";
