/** What pages import: the engine itself is in a worker (engine-worker.ts), so this is small. */
export { type BrowserLoadOptions, load } from "./load.ts";
export type { BrowserFiles } from "./files.ts";
export type { BrowserAdapter, BrowserAdapters, BrowserModel, BrowserTokenizer } from "./model.ts";
export type { BrowserSource } from "./source.ts";
export { type BrowserExamples, type BrowserTuneOptions, type BrowserTuneResult, tune } from "./tune.ts";
export { type BrowserQuantizeOptions, quantize } from "./quantize.ts";
export type { QuantizedFile } from "./quantize-method.ts";
export { deleteStored, freeSpace, requestPersistence, storageReport, storedModels } from "./stored.ts";
export type { FreedSpace, StorageReport, StoredFile } from "../formats/web/store.ts";
export { type TechniqueDescription, type TechniqueDescriptions, techniques } from "./techniques.ts";
export type { Generation, GenerationResult, Part, Timings } from "../serving/generation.ts";
export type { ChatMessage, Prompt, PromptOptions } from "../serving/prompt.ts";
export type { GenerateOptions } from "../serving/writer.ts";
export type { Session } from "../serving/session.ts";
export type { OpenProgress } from "../models/open-checkpoint.ts";
export type { PeftFiles } from "../formats/peft.ts";
export type { TrainingProgress } from "../training/run.ts";
export { FrugalError, type ErrorCode, type ErrorFields } from "../tensor/error.ts";
