/**
 * The engine as pages see it: one model, and a table of what may be called. Pages hold it: what one began ends when it leaves. Runs in a worker of
 * a page; in tests anywhere.
 */
import type { Backend } from "../backends/backend.ts";
import type { ModelFiles } from "../formats/folder.ts";
import type { FrugalModel } from "../serving/model.ts";
import { load as loadModel, type LoadOptions } from "../techniques/load.ts";
import { FrugalError } from "../tensor/error.ts";
import { type Answerer, answerPort, type CallContext, type Methods } from "./answerer.ts";
import type { Port } from "./caller.ts";
import { object } from "./arguments.ts";
import { modelMethods, type PageState } from "./model-methods.ts";
import type { OpenSourceOptions } from "./open-source.ts";
import { checkedSource, type SourceRecord } from "./source.ts";
import { workMethods } from "./work-methods.ts";

/** What the engine takes from where it runs. */
export interface EngineSurroundings {
  open(source: SourceRecord, options: OpenSourceOptions): Promise<ModelFiles>;
  backend(threads: number | undefined): Promise<Backend>;
}

/** Options of `load` as they cross. */
export interface SentLoadOptions extends Omit<
  LoadOptions,
  "signal" | "onProgress" | "backend" | "draft" | "adapter" | "spillDirectory" | "hub"
> {
  readonly store?: "opfs" | "none";
  readonly hub?: OpenSourceOptions["hub"];
}

/** What `load` answers. */
export type ModelDescription = Pick<FrugalModel, "name" | "family" | "kind" | "contextLength" | "backend">;

interface Loading {
  readonly key: string;
  readonly model: Promise<FrugalModel>;
  readonly controller: AbortController;
  readonly listeners: Set<(progress: unknown) => void>;
  /** The last progress, for who comes later. */
  last: unknown;
  holders: number;
}

export interface PageEngine {
  /** Answers a page. `onEnd` is called when it has left. */
  serve(port: Port, onEnd?: () => void): Answerer;
  dispose(): Promise<void>;
}

export function createPageEngine(surroundings: EngineSurroundings): PageEngine {
  let loading: Loading | undefined;
  const answerers = new Set<Answerer>();
  /** Models that are being given up. */
  const releasing = new Set<Promise<void>>();

  function start(key: string, source: SourceRecord, options: SentLoadOptions): Loading {
    const controller = new AbortController();
    const listeners = new Set<(progress: unknown) => void>();
    const tell = (progress: unknown): void => {
      made.last = progress;
      listeners.forEach((listener) => listener(progress));
    };
    const { signal } = controller;
    const run = async (): Promise<FrugalModel> => {
      const { store, hub, threads, ...others } = options;
      const onDownload = (done: number, total: number): void => tell({ stage: "download", done, total });
      const [files, backend] = await bothOrClosed(
        surroundings.open(source, { store, hub, signal, onDownload }),
        surroundings.backend(threads),
      );
      return loadModel(files, { ...others, backend, signal, onProgress: tell });
    };
    const model = Promise.resolve()
      .then(run)
      .catch((error: unknown) => {
        loading = undefined;
        throw error;
      });
    model.catch(() => undefined);
    const made: Loading = { key, model, controller, listeners, last: undefined, holders: 0 };
    return made;
  }

  async function release(held: Loading): Promise<void> {
    held.holders--;
    if (held.holders > 0) return;
    if (loading === held) loading = undefined;
    held.controller.abort(new FrugalError("FRUGAL_DISPOSED", "load: nobody waits for the model any more"));
    await held.model.then(
      (model) => model.dispose(),
      () => undefined,
    );
  }

  function pageMethods(state: PageState & { held: Loading | undefined }): Methods {
    const model = async (): Promise<FrugalModel> => {
      if (state.held === undefined) throw new FrugalError("FRUGAL_BAD_ARGUMENT", "engine: this page has loaded no model; call load first");
      return state.held.model;
    };
    return {
      async load([given, options], { emit, signal }: CallContext): Promise<ModelDescription> {
        const source = checkedSource("load", given);
        const sent = object("load", "the options", options) as SentLoadOptions;
        const key = JSON.stringify([source, sent], (_, value: unknown) => (value instanceof Map ? [...value.keys()] : value));
        if (state.held !== undefined)
          throw new FrugalError("FRUGAL_BAD_ARGUMENT", "load: this page has the model already; dispose it first");
        loading ??= start(key, source, sent);
        if (loading.key !== key) throw otherModel(loading.key, key);
        const held = loading;
        held.holders++;
        held.listeners.add(emit);
        if (held.last !== undefined) emit(held.last);
        try {
          const { name, family, kind, contextLength, backend } = await unlessAborted(held.model, signal);
          state.held = held;
          return { name, family, kind, contextLength, backend };
        } catch (error) {
          await release(held);
          throw error;
        } finally {
          held.listeners.delete(emit);
        }
      },
      ...modelMethods(model, state, surroundings),
      ...workMethods(model, surroundings),
    };
  }

  return {
    serve(port, onEnd) {
      const state: PageState & { held: Loading | undefined } = { sessions: new Map(), adapters: new Set(), held: undefined };
      const answerer = answerPort(port, pageMethods(state), () => {
        answerers.delete(answerer);
        for (const session of state.sessions.values()) session.dispose();
        const { held } = state;
        if (held !== undefined) {
          void held.model
            .then((model) => Promise.allSettled([...state.adapters].map((name) => model.adapters.unload(name))))
            .catch(() => undefined);
          const released = release(held)
            .catch(() => undefined)
            .finally(() => releasing.delete(released));
          releasing.add(released);
        }
        onEnd?.();
      });
      answerers.add(answerer);
      return answerer;
    },
    async dispose() {
      await Promise.all([...answerers].map((answerer) => answerer.end()));
      await Promise.all(releasing);
    },
  };
}

const otherModel = (held: string, asked: string): FrugalError =>
  new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `load: the tabs of this group share ${printed(held)}, but ${printed(asked)} is asked for; name another group (share), or load the same with the same options`,
  );

/** For people, without what a tab must not tell another. */
const printed = (key: string): string =>
  JSON.stringify(JSON.parse(key), (name, value: unknown) => (name === "token" ? "..." : value)).slice(0, 300);

/** Both, or neither left open. */
async function bothOrClosed(files: Promise<ModelFiles>, backend: Promise<Backend>): Promise<[ModelFiles, Backend]> {
  try {
    return await Promise.all([files, backend]);
  } catch (error) {
    void files.then(
      ({ files: sources }) => Promise.all([...sources.values()].map((source) => source.close())),
      () => undefined,
    );
    throw error;
  }
}

/** The work's end, or the signal's reason; the work goes on for others. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
