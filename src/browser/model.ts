/** A model as pages use it: FrugalModel's names and shapes, with the engine in a worker. What is computed at once in Node is awaited here. */
import type { AdapterInfo } from "../serving/adapter-slots.ts";
import type { EmbedInput, EmbedOptions } from "../serving/embed.ts";
import { type Generation, type GenerationResult, type Part, startGeneration } from "../serving/generation.ts";
import type { Inspection } from "../serving/inspect.ts";
import type { FrugalModel, LogitsOptions, LogprobsOptions } from "../serving/model.ts";
import type { ChatMessage, Prompt } from "../serving/prompt.ts";
import type { TokenScore } from "../serving/prompt-logprobs.ts";
import type { RerankOptions } from "../serving/rerank.ts";
import type { ServingStats, StepReport } from "../serving/serving-stats.ts";
import type { Session } from "../serving/session.ts";
import type { GenerateOptions } from "../serving/writer.ts";
import { FrugalError } from "../tensor/error.ts";
import { checkOptions } from "../tensor/options.ts";
import type { DecodeOptions, EncodeOptions, Tokenizer } from "../text/tokenizer.ts";
import type { CallOptions, Caller } from "./caller.ts";
import type { Link } from "./connect.ts";
import type { ModelDescription } from "./engine.ts";
import type { AdapterRecord, GenerateEvent } from "./model-methods.ts";
import { createPageSession, type SessionEnd } from "./session.ts";

/** The model's tokenizer, which works in the engine's worker. */
export interface BrowserTokenizer extends Pick<
  Tokenizer,
  "vocabularySize" | "bos" | "eos" | "unknown" | "padding" | "endOfGeneration" | "addBos" | "addEos"
> {
  encode(text: string, options?: EncodeOptions): Promise<Int32Array>;
  decode(ids: ArrayLike<number>, options?: DecodeOptions): Promise<string>;
}

/** An adapter's files by name (what `tune` gives), one file of it, or where it is. */
export type BrowserAdapter = Readonly<Record<string, Uint8Array | string | Blob>> | Blob | URL | string;

export interface BrowserAdapters {
  /** Reads an adapter and gives it a name. In an engine that tabs share, the names are all tabs'. */
  load(name: string, adapter: BrowserAdapter, signal?: AbortSignal): Promise<AdapterInfo>;
  unload(name: string): Promise<void>;
  list(): Promise<readonly AdapterInfo[]>;
}

/**
 * A model that a worker holds. Calls may run together, also those of several tabs; `dispose` (or `await using`) ends this page's and gives its hold
 * back, and the memory with the last one: the worker ends. Errors are as in Node; what the engine was doing when its worker or the tab that
 * ran it ended rejects with FRUGAL_ENDED, and the next call starts it anew.
 */
export interface BrowserModel extends AsyncDisposable {
  readonly name: string;
  readonly family: string;
  readonly kind: FrugalModel["kind"];
  /** Tokens a text may have, prompt included. */
  readonly contextLength: number;
  /** Which backend runs it, and why. */
  readonly backend: FrugalModel["backend"];
  /** As in Node; see FrugalModel. */
  generate(prompt: Prompt, options?: GenerateOptions): Generation;
  chat(messages: readonly ChatMessage[], options?: GenerateOptions): Generation;
  session(): Session;
  embed(texts: string | readonly EmbedInput[], options?: EmbedOptions): Promise<Float32Array[]>;
  rerank(query: string, documents: readonly string[], options?: RerankOptions): Promise<number[]>;
  logits(ids: readonly number[] | Int32Array, options?: LogitsOptions): Promise<Float32Array[]>;
  logprobs(ids: readonly number[] | Int32Array, options?: LogprobsOptions): Promise<readonly TokenScore[]>;
  tokenizer(): Promise<BrowserTokenizer>;
  inspect(): Promise<Inspection>;
  readonly adapters: BrowserAdapters;
  stats(): Promise<ServingStats>;
  /** Calls `listener` after each step of the model, of all tabs, until the function that is returned is called. */
  onStep(listener: (step: StepReport) => void): () => void;
  dispose(): Promise<void>;
}

/** A call to the engine of a model, for what stands beside its methods (`tune`). */
export type ModelCall = (method: string, args: readonly unknown[], options?: CallOptions) => Promise<unknown>;

/** Where a model keeps its own `ModelCall`. */
export const modelCall: unique symbol = Symbol("frugal: calls to a model's engine");

export interface ModelWithCall extends BrowserModel {
  readonly [modelCall]: ModelCall;
}

export interface ModelParts {
  readonly description: ModelDescription;
  /** The link that `description` came over. */
  readonly link: Link;
  /** Another, with the model loaded again. */
  relink(): Promise<Link>;
  /** Calls a function whenever a link is gone by itself. */
  readonly ended: Set<() => void>;
  adapterRecord(adapter: BrowserAdapter): Promise<AdapterRecord>;
}

export function browserModel(parts: ModelParts): ModelWithCall {
  const { name, family, kind, contextLength, backend } = parts.description;
  let link: Promise<Link> | undefined = Promise.resolve(parts.link);
  let disposed: Promise<void> | undefined;
  const listeners = new Set<(caller: Caller) => void>();
  /** What this page has named, for an engine that is started anew. */
  const named = new Map<string, AdapterRecord>();
  parts.ended.add(() => (link = undefined));

  const gone = (): FrugalError => new FrugalError("FRUGAL_DISPOSED", `model: ${name} has been disposed; load it again`);
  const check = (): void => {
    if (disposed !== undefined) throw gone();
  };
  const checkText = (): void => {
    check();
    if (kind === "encoder")
      throw new FrugalError("FRUGAL_UNSUPPORTED", `model: ${name} is an encoder and writes no text; use embed, or load a text model`, {
        kind,
      });
  };

  async function renew(): Promise<Link> {
    const made = await parts.relink();
    if (disposed !== undefined) {
      await made.close(gone());
      throw gone();
    }
    // Those that cannot be read any more are missed by the texts that name them.
    for (const [adapter, record] of named) await made.caller.call("loadAdapter", [adapter, record]).catch(() => undefined);
    for (const listen of listeners) listen(made.caller);
    return made;
  }
  const linked = (): Promise<Link> => {
    if (link === undefined) {
      const renewing = renew();
      link = renewing;
      renewing.catch(() => {
        if (link === renewing) link = undefined;
      });
    }
    return link;
  };
  const call: ModelCall = async (method, args, options = {}) => {
    check();
    const { caller } = await linked();
    check();
    return caller.call(method, args, options);
  };
  /** With the options' signal, which does not cross. */
  async function ask<T>(method: string, args: readonly unknown[], given: object = {}): Promise<T> {
    check();
    const { sent, signal } = apart(method, given);
    return (await call(method, [...args, sent], { signal })) as T;
  }

  const write = (prompt: Prompt, options: GenerateOptions, session?: SessionEnd & { readonly id: number }): Generation => {
    const own = (options as GenerateOptions | null)?.signal;
    return startGeneration(
      async (emit, signal) => {
        const { sent } = apart("generate", options);
        session?.check();
        const written: Part[] = [];
        const result = (await call("generate", [prompt, sent, ...(session === undefined ? [] : [session.id])], {
          signal,
          onEvent(value) {
            const event = value as GenerateEvent;
            if ("ids" in event) return session?.onIds([...event.ids]);
            written.push(event.part);
            emit(event.part);
          },
        })) as Omit<GenerationResult, "parts">;
        return { ...result, parts: written };
      },
      own instanceof AbortSignal ? own : undefined,
    );
  };
  let sessions = 0;

  const self: ModelWithCall = {
    name,
    family,
    kind,
    contextLength,
    backend,
    [modelCall]: call,
    generate(prompt, options = {}) {
      checkText();
      return write(prompt, options);
    },
    chat: (messages, options) => self.generate(messages, options),
    session() {
      checkText();
      const id = ++sessions;
      return createPageSession({
        write: (prompt, options, end) => write(prompt, options, { ...end, id }),
        call: (method) => void call(method, [id]).catch(() => undefined),
        ended: parts.ended,
      });
    },
    embed: (texts, options) => ask("embed", [texts], options),
    rerank: (query, documents, options) => ask("rerank", [query, documents], options),
    logits: (ids, options) => ask("logits", [ids], options),
    logprobs: (ids, options) => ask("logprobs", [ids], options),
    async tokenizer() {
      const known = (await call("tokenizer", [])) as Omit<BrowserTokenizer, "encode" | "decode">;
      return {
        ...known,
        encode: (text, options) => ask("encode", [text], options),
        decode: (ids, options) => ask("decode", [ids instanceof Int32Array ? ids : Array.from(ids)], options),
      };
    },
    inspect: () => ask("inspect", []),
    stats: () => ask("stats", []),
    adapters: {
      async load(adapter, given, signal) {
        check();
        const record = await parts.adapterRecord(given);
        const info = (await call("loadAdapter", [adapter, record], { signal })) as AdapterInfo;
        named.set(adapter, record);
        return info;
      },
      async unload(adapter) {
        await call("unloadAdapter", [adapter]);
        named.delete(adapter);
      },
      list: () => ask("listAdapters", []),
    },
    onStep(listener) {
      checkText();
      const controller = new AbortController();
      const listen = ({ call: ofCaller }: Caller): void =>
        void ofCaller("onStep", [], { signal: controller.signal, onEvent: (step) => listener(step as StepReport) }).catch(() => undefined);
      listeners.add(listen);
      void link?.then(({ caller }) => controller.signal.aborted || listen(caller)).catch(() => undefined);
      return () => {
        listeners.delete(listen);
        controller.abort();
      };
    },
    dispose() {
      disposed ??= (async () => {
        const held = await link?.catch(() => undefined);
        await held?.close(gone());
      })();
      return disposed;
    },
    [Symbol.asyncDispose]: () => self.dispose(),
  };
  return self;
}

/** Options as they cross, and their signal. */
function apart(method: string, given: object): { readonly sent: object; readonly signal: AbortSignal | undefined } {
  if (typeof given !== "object" || given === null) return { sent: given, signal: undefined };
  const { signal, ...sent } = given as { readonly signal?: AbortSignal };
  checkOptions(method, { signal }, ["signal"]);
  return { sent, signal };
}
