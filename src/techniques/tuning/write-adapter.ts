/** An adapter by itself, in the format that the place asks for: GGUF for llama.cpp, or a directory for PEFT. */
import type { Model } from "../../models/family.ts";
import type { OpenedCheckpoint } from "../../models/open-checkpoint.ts";
import type { Adapter } from "./adapter.ts";
import { writeGgufAdapter } from "./gguf-adapter.ts";
import { writePeftAdapter } from "./peft-write.ts";

/** Rejects with FRUGAL_UNSUPPORTED where the format has no words for the adapter, FRUGAL_NO_SPACE. */
export const writeAdapter = (out: string, opened: OpenedCheckpoint, model: Model, adapter: Adapter, signal?: AbortSignal): Promise<void> =>
  out.endsWith(".gguf") ? writeGgufAdapter(out, opened.checkpoint, model, adapter, signal) : writePeftAdapter(out, model, adapter);
