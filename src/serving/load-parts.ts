/** From a checkpoint's name to a model that a backend has loaded: the steps of `load`, also for those who need what lies beneath. */
import type { Backend, CacheFormat, LoadedModel, Weights } from "../backends/backend.ts";
import { type BackendName, chooseBackend } from "../backends/choose.ts";
import type { ModelFiles } from "../formats/folder.ts";
import type { Graph } from "../graph/value.ts";
import type { Checkpoint, Model } from "../models/family.ts";
import { openModel } from "../models/index.ts";
import { pageSize } from "../ops/cache.ts";
import { FrugalError } from "../tensor/error.ts";
import { byteSize, printBytes } from "../tensor/byte-size.ts";
import { type Adapters, createAdapters, type SlotNumbers } from "./adapter-slots.ts";
import { cacheBytesPerToken, pageTables } from "./cache-needs.ts";
import { createEngine, type Engine } from "./engine.ts";
import { type HubSettings, openCheckpoint, type OpenedCheckpoint, type OpenProgress } from "../models/open-checkpoint.ts";
import { checkOptions, wholeNumber } from "../tensor/options.ts";
import type { StrategySource } from "./strategy.ts";
import { pagesFor, type PageTable } from "./page-tables.ts";
import { createPages } from "./pages.ts";
import { type DeferredHead, deferHead } from "../transforms/deferred-head.ts";
import { createSpillStore } from "./spill.ts";

/** Options of `load`. */
export interface LoadOptions {
  /** The most memory to use for weights, cache and intermediate results together: bytes, or text like "512MB". Default: no limit. */
  readonly memory?: number | string;
  /** Tokens a text may have, prompt included. Default: what the model was made for, at most 4096, or as many as `memory` allows. */
  readonly context?: number;
  /** Texts that may be written together; more wait their turn. Default 8. */
  readonly sequences?: number;
  /** Tokens that all texts together, and beginnings kept for later ones, may have in the cache. Default: those one text may have. */
  readonly cacheTokens?: number;
  /** Whether texts that begin alike share what was computed of it, also later ones. Default true. */
  readonly prefixCache?: boolean;
  /** Texts that may wait for their turn; more are refused with FRUGAL_BUSY. Default: any number. */
  readonly queue?: number;
  /** Milliseconds that the next token of a text should wait at most for prompts read beside it. Default 50. */
  readonly latencyGoal?: number;
  /** Where texts that must make room for others leave their keys and values. Default: they are computed again. */
  readonly spillDirectory?: string;
  /** Room for low-rank adapters that texts name (`adapters`, and `adapter` of `generate`); texts of different ones share steps. Default: none. */
  readonly adapterSlots?: AdapterSlotOptions;
  /**
   * Whether a text that is written alone reads the output head's whole table once in several tokens (serving/deferred-head.ts): "auto" where
   * the vocabulary is large and it is measured to be faster, "always" wherever the model allows it. Texts are the same. Costs a quarter of
   * the table in 8 bits. Default "auto".
   */
  readonly deferredHead?: "auto" | "off" | "always";
  /** Default: native where it was built, else reference. */
  readonly backend?: BackendName | Backend;
  /** Threads that compute together. Default: as many as this process may use. */
  readonly threads?: number;
  /** How keys and values are kept. Default F16. */
  readonly cache?: CacheFormat;
  /** For `hf:` names: where downloads are kept, from where they come, and with which token. */
  readonly hub?: HubSettings;
  readonly signal?: AbortSignal;
  /** Called now and then with bytes done and to do, of the download first where there is one. */
  readonly onProgress?: (progress: OpenProgress) => void;
}

export interface AdapterSlotOptions {
  /** Adapters that texts may be written with at once; others wait. */
  readonly count: number;
  /** The largest rank that an adapter may have. */
  readonly rank: number;
  /** The linears that adapters may change, as `tune` takes them; each takes room and time. Default "all-linear". */
  readonly targets?: string | readonly string[];
}

/** Slots as those make them who know adapters. */
export interface AdapterRoom {
  /** The graph with adapters, which takes `adapters` i32 [T] besides: a row's slot, or -1. */
  graph(graph: Graph): Graph;
  /** What fills slots before an adapter does. */
  readonly weights: Weights;
  /** Slots, and bytes of all of them. */
  readonly count: number;
  readonly bytes: number;
  /** An adapter's files for a slot. */
  read(source: string | ModelFiles, signal?: AbortSignal): Promise<SlotNumbers>;
}

/** What those change who score texts rather than write them. */
export interface StepLimits {
  /** Most tokens in a step. Default 512. */
  readonly rows?: number;
  /** Most rows of logits in a step. Default: `sequences`, or 8 where that is more and texts may speculate. */
  readonly outputRows?: number;
  /** What proposes tokens for the model's texts. Default: nothing does. */
  readonly speculation?: (opened: OpenedCheckpoint) => Promise<StrategySource>;
  /** What is to be done that only models that write text can do, for the message to others. */
  readonly textFor?: string;
  /** Of a text model: "generate" keeps a cache, "score" runs whole texts. Default "generate". */
  readonly program?: "generate" | "score";
  /** Makes the model of a checkpoint, for those who change it before it is loaded. Default: the family's own. */
  readonly open?: (checkpoint: Checkpoint) => Promise<Model>;
  /** Makes slots for adapters. */
  readonly adapterRoom?: (checkpoint: Checkpoint, model: Model) => AdapterRoom;
  /** Ids of a shortlist of the deferred head. Default 256. */
  readonly shortlist?: number;
  /** Build the tokenizer while the backend loads. Default true. */
  readonly wantsTokenizer?: boolean;
}

export interface ModelParts {
  readonly opened: OpenedCheckpoint;
  readonly model: Model;
  readonly backend: Backend;
  readonly loaded: LoadedModel;
  /** The program that was loaded, and its graph. */
  readonly program: string;
  readonly graph: Graph;
  /** Tokens a sequence may have. */
  readonly context: number;
  /** Most tokens, and most sequences, in a run. */
  readonly rows: number;
  readonly sequences: number;
  readonly cacheFormat: CacheFormat;
  /** Of the program, with their pages. */
  readonly tables: readonly PageTable[];
  /** Of models that write text, loaded with a cache. */
  readonly engine: Engine | undefined;
  /** Where the model was loaded with slots for them. */
  readonly adapters: Adapters | undefined;
  /** What proposes tokens for its texts. */
  readonly strategies: StrategySource | undefined;
  dispose(): Promise<void>;
}

/** Names of the options of `load`. */
export const loadOptionNames: readonly (keyof LoadOptions)[] = [
  "memory",
  "context",
  "sequences",
  "cacheTokens",
  "prefixCache",
  "queue",
  "latencyGoal",
  "spillDirectory",
  "adapterSlots",
  "deferredHead",
  "backend",
  "threads",
  "cache",
  "hub",
  "signal",
  "onProgress",
];
const cacheFormats: readonly CacheFormat[] = ["F32", "F16", "Q8_0", "Q4_0"];
const deferredHeadModes: readonly string[] = ["auto", "off", "always"];
const usualContext = 4096;
/** Rows of logits where there may be proposals or guesses: one text's own and seven more. */
const verifiedRows = 8;
/** From this vocabulary on the head is so much of a model that putting it off can pay. */
const largeVocabulary = 65_536;
/** Ids of a shortlist. */
const shortlistLength = 256;

export async function loadParts(source: string | ModelFiles, options: LoadOptions = {}, limits: StepLimits = {}): Promise<ModelParts> {
  checkOptions("load", options, loadOptionNames);
  wholeNumber("load", "context", options.context, 1);
  wholeNumber("load", "sequences", options.sequences, 1, 4096);
  wholeNumber("load", "threads", options.threads, 1, 1024);
  wholeNumber("load", "cacheTokens", options.cacheTokens, 1);
  if (options.queue !== Infinity) wholeNumber("load", "queue", options.queue, 0);
  if (options.latencyGoal !== undefined && !(options.latencyGoal > 0))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `load: latencyGoal is ${options.latencyGoal}; give milliseconds above 0`, {
      latencyGoal: options.latencyGoal,
    });
  const { deferredHead = "auto" } = options;
  if (!deferredHeadModes.includes(deferredHead))
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `load: deferredHead is ${JSON.stringify(deferredHead)}; it may be ${deferredHeadModes.join(", ")}`,
      { deferredHead },
    );
  const cacheFormat = options.cache ?? "F16";
  if (!cacheFormats.includes(cacheFormat))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `load: cache is ${JSON.stringify(options.cache)}; it may be ${cacheFormats.join(", ")}`, {
      cache: options.cache,
    });
  const memory = options.memory === undefined ? Infinity : byteSize("memory", options.memory);
  const opening = openCheckpoint(source, options);
  const [{ value: backend, reason }, opened] = await Promise.all([settled(chooseBackend(options)), opening]);
  try {
    if (backend === undefined) throw reason;
    const model = await (limits.open ?? openModel)(opened.checkpoint);
    return await load(opened, model, backend, { ...options, ...limits, cacheFormat, memory });
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** Its failure as a value, for what must be cleaned up beside it. */
const settled = <T>(work: Promise<T>): Promise<{ readonly value?: T; readonly reason?: unknown }> =>
  work.then(
    (value) => ({ value }),
    (reason: unknown) => ({ reason }),
  );

type Settled = Omit<LoadOptions, "memory"> & StepLimits & { readonly cacheFormat: CacheFormat; readonly memory: number };

async function load(opened: OpenedCheckpoint, model: Model, backend: Backend, options: Settled): Promise<ModelParts> {
  const { signal, onProgress, cacheFormat, memory } = options;
  if (options.textFor !== undefined && model.kind !== "text")
    throw new FrugalError("FRUGAL_UNSUPPORTED", `${options.textFor}: ${opened.name} is an encoder and writes no text; take a text model`, {
      kind: model.kind,
    });
  const wanted = contextFor(model, options);
  const sequences = options.sequences ?? 8;
  const graphs = model.graphs({ contextLength: wanted });
  const isText = model.kind === "text";
  const program = isText ? (options.program ?? "generate") : "embed";
  const graph = graphs[program]!;
  const perToken = cacheBytesPerToken(graph, cacheFormat);
  const room = program === "generate" ? options.adapterRoom?.(opened.checkpoint, model) : undefined;
  const deferred = program === "generate" ? deferredFor(model, graph, backend, options) : undefined;
  const context = fitContext(model, wanted, options, perToken, room?.bytes ?? 0);
  if (deferred !== undefined && options.deferredHead !== "always" && context < wanted)
    return load(opened, model, backend, { ...options, deferredHead: "off" });
  const pages = pagesFor(Math.max(context, options.cacheTokens ?? 0));
  // An encoder reads a text at once, however long.
  const rows = isText ? Math.min(options.rows ?? 512, context * sequences) : context;
  const speculates = program === "generate" && options.speculation !== undefined;
  const leastOutputRows = speculates || deferred !== undefined ? verifiedRows : 0;
  const outputRows = Math.min(options.outputRows ?? Math.max(sequences, leastOutputRows), rows);
  const tables = pageTables(graph, cacheFormat).map(({ name, window }): PageTable => {
    // Beside what texts see, as much again for beginnings that later ones may go on from.
    const seen = window === undefined ? pages : 2 * sequences * (pagesFor(window) + 2) + pagesFor(rows);
    return { name, window, pages: createPages(Math.min(pages, seen)) };
  });
  const programs = {
    [program]: graph,
    ...(room === undefined ? {} : { generateAdapted: room.graph(graph) }),
    ...(deferred === undefined ? {} : { generateShortlist: deferred.shortlist, head: deferred.head }),
  };
  const weights = room === undefined ? model.weights : new Map([...model.weights, ...room.weights]);
  const loading = backend.load(programs, weights, {
    caps: { T: rows, S: Math.min(sequences, rows), C: pagesFor(context), R: Math.max(1, outputRows) },
    ...(perToken > 0 ? { cachePages: Object.fromEntries(tables.map((table) => [table.name, table.pages.total])), cacheFormat } : {}),
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress: (done, total) => onProgress({ stage: "weights", done, total }) }),
  });
  // Built here while the backend's threads load; a fault shows to whoever asks for it.
  if (options.wantsTokenizer !== false && opened.hasTokenizer) opened.tokenizer().catch(() => undefined);
  const loaded = await loading;
  const used = loaded.memory.weights + loaded.memory.arena + loaded.memory.cache;
  if (used > memory) {
    await loaded.dispose();
    if (deferred !== undefined && options.deferredHead !== "always")
      return load(opened, model, backend, { ...options, deferredHead: "off" });
    throw tooLarge(opened.name, used, memory, "shorten the context, keep the cache in Q8_0, or take a smaller model");
  }
  const strategies = speculates ? await orDispose(options.speculation!(opened), loaded) : undefined;
  const engine =
    program === "generate"
      ? createEngine(
          loaded,
          {
            vocabularySize: model.vocabularySize,
            context,
            rows,
            sequences: Math.min(sequences, rows),
            outputRows,
            queue: options.queue ?? Infinity,
            latencyGoal: options.latencyGoal ?? 50,
            prefixCache: options.prefixCache ?? true,
            ...(deferred === undefined
              ? {}
              : { deferredHead: { mode: options.deferredHead === "always" ? "always" : "auto", width: deferred.width } }),
          },
          tables,
          options.spillDirectory === undefined ? undefined : createSpillStore(options.spillDirectory),
        )
      : undefined;
  const adapters =
    room === undefined
      ? undefined
      : createAdapters({
          slots: room.count,
          read: room.read,
          write: (slot, numbers) => loaded.writeSlot(slot, numbers),
        });
  let disposed: Promise<void> | undefined;
  return {
    opened,
    model,
    backend,
    loaded,
    program,
    graph,
    context,
    rows,
    sequences,
    cacheFormat,
    tables,
    engine,
    adapters,
    strategies,
    dispose: () =>
      (disposed ??= (async () => {
        adapters?.dispose();
        await engine?.dispose();
        await strategies?.dispose?.();
        await loaded.dispose();
        await opened.close();
      })()),
  };
}

/** Gives the model's memory back where the work fails. */
async function orDispose<T>(work: Promise<T>, loaded: LoadedModel): Promise<T> {
  try {
    return await work;
  } catch (error) {
    await loaded.dispose();
    throw error;
  }
}

/** Only for those who load a model to write with it. */
function deferredFor(
  { vocabularySize }: Model,
  graph: Graph,
  backend: Backend,
  { deferredHead = "auto", wantsTokenizer, textFor, outputRows, shortlist = shortlistLength }: Settled,
): DeferredHead | undefined {
  if (deferredHead === "off") return undefined;
  const pays = vocabularySize >= largeVocabulary && backend.name === "native";
  const writes = wantsTokenizer !== false && textFor === undefined && outputRows === undefined;
  return deferredHead === "always" || (pays && writes) ? deferHead(graph, Math.min(shortlist, vocabularySize)) : undefined;
}

function contextFor(model: Model, { context }: Settled): number {
  if (context === undefined) return Math.min(model.contextLength, model.kind === "text" ? usualContext : Infinity);
  if (context <= model.contextLength || !model.isBounded) return context;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `load: context is ${context}, but the model reads at most ${model.contextLength} tokens; ask for no more`,
    {
      context,
      contextLength: model.contextLength,
    },
  );
}

/** The longest context whose cache fits beside the weights, where a limit is given and no context. What it needs beyond is checked after loading. */
function fitContext(model: Model, wanted: number, { memory, context }: Settled, perToken: number, slots: number): number {
  if (memory === Infinity || context !== undefined || perToken === 0) return wanted;
  const weights = [...model.weights.values()].reduce((sum, { content }) => {
    if (!("rows" in content)) return sum;
    return (
      sum +
      content.rows.reduce(
        (n, { tensor, count }) =>
          n +
          (tensor.byteLength /
            Math.max(
              1,
              tensor.shape.slice(0, -1).reduce((a, b) => a * b, 1),
            )) *
            count,
        0,
      )
    );
  }, slots);
  // A tenth is left for intermediate results.
  const fits = Math.floor((memory * 0.9 - weights) / perToken / pageSize) * pageSize;
  if (fits < Math.min(wanted, pageSize)) throw tooLarge("weights", weights, memory, "give more memory or take a smaller model");
  return Math.min(wanted, fits);
}

const tooLarge = (what: string, needed: number, memory: number, remedy: string): FrugalError =>
  new FrugalError("FRUGAL_OUT_OF_MEMORY", `${what}: needs ${printBytes(needed)} of memory, but may use ${printBytes(memory)}; ${remedy}`, {
    needed,
    available: memory,
  });
