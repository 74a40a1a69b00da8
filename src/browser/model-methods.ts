/** What pages may ask of the model that is loaded: FrugalModel's methods, one by one. */
import type { ModelFiles } from "../formats/folder.ts";
import { blobSource } from "../formats/web/blob.ts";
import type { EmbedInput } from "../serving/embed.ts";
import type { Part } from "../serving/generation.ts";
import type { FrugalModel } from "../serving/model.ts";
import type { Prompt } from "../serving/prompt.ts";
import type { Session } from "../serving/session.ts";
import { FrugalError } from "../tensor/error.ts";
import { bytesSource, type ByteSource } from "../tensor/source.ts";
import type { CallContext, Methods } from "./answerer.ts";
import { number, object, text } from "./arguments.ts";
import type { EngineSurroundings } from "./engine.ts";
import type { SourceRecord } from "./source.ts";

/** What a page has begun and leaves behind. */
export interface PageState {
  /** By the page's own numbers. */
  readonly sessions: Map<number, Session>;
  /** Names of adapters that it has loaded. */
  readonly adapters: Set<string>;
}

/** Events of `generate`: a token, or at the end of a session's text all that the session holds. */
export type GenerateEvent = { readonly part: Part } | { readonly ids: Int32Array };

/** An adapter as it crosses. */
export type AdapterRecord =
  | SourceRecord
  | { readonly kind: "files"; readonly name: string; readonly files: ReadonlyMap<string, Uint8Array | string | Blob> };

export function modelMethods(model: () => Promise<FrugalModel>, state: PageState, { open }: Pick<EngineSurroundings, "open">): Methods {
  const sessionOf = async (id: number): Promise<Session> => {
    const known = state.sessions.get(id);
    if (known !== undefined) return known;
    const made = (await model()).session();
    state.sessions.set(id, made);
    return made;
  };

  async function filesOf(given: unknown, signal: AbortSignal): Promise<ModelFiles> {
    const record = object("adapters", "the adapter", given);
    if (record["kind"] !== "files") return open(given as SourceRecord, { signal, onDownload: () => undefined });
    const { files } = record;
    if (!(files instanceof Map)) throw new FrugalError("FRUGAL_BAD_ARGUMENT", "adapters: the files are no map; give bytes by name");
    return {
      name: text("adapters", "the name", record["name"]),
      files: new Map([...files].map(([name, bytes]) => [String(name), sourceOf(String(name), bytes)])),
    };
  }

  return {
    async generate([prompt, options, session], { emit, signal }) {
      const given = { ...object("generate", "the options", options), signal };
      const id = session === undefined ? undefined : number("generate", "the session", session);
      const writer = id === undefined ? await model() : await sessionOf(id);
      try {
        const run = writer.generate(prompt as Prompt, given);
        for await (const part of run) emit({ part } satisfies GenerateEvent);
        // The page has the parts.
        const { parts: _, ...result } = await run;
        return result;
      } finally {
        if (id !== undefined) emit({ ids: Int32Array.from((await sessionOf(id)).ids) } satisfies GenerateEvent);
      }
    },
    async clearSession([session]) {
      state.sessions.get(number("session", "the session", session))?.clear();
    },
    async disposeSession([session]) {
      const id = number("session", "the session", session);
      state.sessions.get(id)?.dispose();
      state.sessions.delete(id);
    },
    embed: async ([texts, options], { signal }) =>
      (await model()).embed(texts as readonly EmbedInput[], { ...object("embed", "the options", options), signal }),
    rerank: async ([query, documents, options], { signal }) =>
      (await model()).rerank(query as string, documents as string[], { ...object("rerank", "the options", options), signal }),
    logits: async ([ids, options], { signal }) =>
      (await model()).logits(ids as Int32Array, { ...object("logits", "the options", options), signal }),
    logprobs: async ([ids, options], { signal }) =>
      (await model()).logprobs(ids as Int32Array, { ...object("logprobs", "the options", options), signal }),
    async tokenizer() {
      const { vocabularySize, bos, eos, unknown, padding, endOfGeneration, addBos, addEos } = await (await model()).tokenizer();
      return { vocabularySize, bos, eos, unknown, padding, endOfGeneration, addBos, addEos };
    },
    encode: async ([given, options]) =>
      (await (await model()).tokenizer()).encode(checkedText(given), object("encode", "the options", options)),
    decode: async ([ids, options]) => (await (await model()).tokenizer()).decode(checkedIds(ids), object("decode", "the options", options)),
    inspect: async () => (await model()).inspect(),
    stats: async () => (await model()).stats(),
    async onStep(_, { report, signal }: CallContext) {
      const stop = (await model()).onStep(report);
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      stop();
    },
    async loadAdapter([given, adapter], { signal }) {
      const loaded = await model();
      const files = await filesOf(adapter, signal);
      const info = await loaded.adapters.load(text("adapters", "the name", given), files, signal);
      state.adapters.add(info.name);
      return info;
    },
    async unloadAdapter([given]) {
      const name = text("adapters", "the name", given);
      await (await model()).adapters.unload(name);
      state.adapters.delete(name);
    },
    listAdapters: async () => (await model()).adapters.list(),
  };
}

function sourceOf(name: string, bytes: unknown): ByteSource {
  if (bytes instanceof Blob) return blobSource(name, bytes);
  if (bytes instanceof Uint8Array) return bytesSource(name, bytes);
  if (typeof bytes === "string") return bytesSource(name, new TextEncoder().encode(bytes));
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `adapters: ${name} is neither bytes nor a Blob; give one of these`, { file: name });
}

function checkedText(value: unknown): string {
  if (typeof value === "string") return value;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", "encode: what is given is no text; give a string");
}

function checkedIds(value: unknown): ArrayLike<number> {
  if (value instanceof Int32Array || (Array.isArray(value) && value.every((id) => typeof id === "number"))) return value;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", "decode: ids are no list of numbers; give token ids");
}
