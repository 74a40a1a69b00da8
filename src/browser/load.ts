/** `load` for pages: starts the engine in a worker, or finds the one that another tab has, and has it open the model. */
import type { LoadOptions } from "../techniques/load.ts";
import type { OpenProgress } from "../models/open-checkpoint.ts";
import { FrugalError } from "../tensor/error.ts";
import { checkOptions } from "../tensor/options.ts";
import { adapterRecord } from "./adapter-record.ts";
import { type Connect, connectOwn, connectShared, type Link } from "./connect.ts";
import type { ModelDescription, SentLoadOptions } from "./engine.ts";
import { type BrowserFiles, fileNames, storiesUrl } from "./files.ts";
import { type BrowserModel, browserModel } from "./model.ts";
import { type BrowserSource, isShareable, type SourceRecord, sourceRecord, withHash } from "./source.ts";

/** Options of `load`, beside those that it has in Node. */
export interface BrowserLoadOptions extends Pick<
  LoadOptions,
  | "memory"
  | "context"
  | "sequences"
  | "cacheTokens"
  | "prefixCache"
  | "queue"
  | "latencyGoal"
  | "adapterSlots"
  | "deferredHead"
  | "speculation"
  | "cache"
  | "threads"
  | "signal"
  | "onProgress"
> {
  /** For `hf:` names: from where downloads come, and with which token. */
  readonly hub?: { readonly endpoint?: string; readonly token?: string; readonly revision?: string };
  /**
   * Whether tabs of this origin that load the same with the same options share one engine, which writes their texts together; a text names the
   * group of those that do. Default true for URLs and `hf:` names where the browser can (SharedWorker and Web Locks).
   */
  readonly share?: boolean | string;
  /** What the bytes of a URL must hash to, in hexadecimal digits; of `hf:` names it is known. */
  readonly sha256?: string;
  /** Where downloads are kept. Default "opfs", the browser's private file system. */
  readonly store?: "opfs" | "none";
  /** Where the parts of dist/browser are, if not beside each other. */
  readonly files?: BrowserFiles;
}

/** Those that the engine gets as they are. */
const sentNames = [
  "memory",
  "context",
  "sequences",
  "cacheTokens",
  "prefixCache",
  "queue",
  "latencyGoal",
  "adapterSlots",
  "deferredHead",
  "speculation",
  "cache",
  "threads",
  "hub",
  "store",
] as const;
const known: readonly string[] = [...sentNames, "signal", "onProgress", "share", "sha256", "files"];

/**
 * Loads a model into a worker, downloading it first where it is not kept already. The page itself is never held up.
 *
 * Rejects as `load` in Node does (FRUGAL_OUT_OF_MEMORY with `needed` and `available` where the device cannot hold the model), as downloads
 * do (FRUGAL_NETWORK, FRUGAL_NO_SPACE before a download that would not fit), with FRUGAL_NOT_FOUND where the worker's file is missing, or
 * with the signal's reason.
 * ```ts
 * import { load } from "frugal/browser";
 * await using model = await load("stories", { onProgress: ({ stage, done, total }) => console.log(stage, done / total) });
 * for await (const { text } of model.generate("Once upon a time", { maxTokens: 64, seed: 7 })) document.body.append(text);
 * ```
 */
export async function load(source: BrowserSource, options: BrowserLoadOptions = {}): Promise<BrowserModel> {
  checkOptions("load", options, known);
  const { signal, onProgress, files = {}, share, sha256 } = options;
  checkOptions("load: files", files, fileNames);
  if (share !== undefined && typeof share !== "boolean" && (typeof share !== "string" || share === ""))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `load: share is ${JSON.stringify(share)}; give true, false or the name of a group`, {
      option: "share",
    });
  signal?.throwIfAborted();
  const record = withHash("load", await sourceRecord("load", source, (name) => storiesUrl(name, files)), sha256);
  const sent = Object.fromEntries(
    sentNames.map((name) => [name, options[name]]).filter(([, value]) => value !== undefined),
  ) as SentLoadOptions;
  const connect = connectBy(record, sent, options);
  const ended = new Set<() => void>();
  const onEnded = (): void => ended.forEach((tell) => tell());
  const open = async (
    openSignal?: AbortSignal,
    tell?: (progress: OpenProgress) => void,
  ): Promise<{ link: Link; description: ModelDescription }> => {
    const link = await connect(onEnded);
    try {
      const description = await link.caller.call("load", [record, sent], {
        signal: openSignal,
        onEvent: (progress) => tell?.(progress as OpenProgress),
      });
      return { link, description: description as ModelDescription };
    } catch (error) {
      await link.close(error as Error);
      throw withHint(error);
    }
  };
  const { link, description } = await open(signal, onProgress);
  return browserModel({
    description,
    link,
    relink: async () => (await open()).link,
    ended,
    adapterRecord: (adapter) => adapterRecord(adapter),
  });
}

function connectBy(record: SourceRecord, sent: SentLoadOptions, { share, files = {} }: BrowserLoadOptions): Connect {
  const own = connectOwn(files);
  const canShare = "SharedWorker" in globalThis && "locks" in navigator && isShareable(record);
  if (share === false || !canShare) {
    if (typeof share !== "string" || isShareable(record)) return own;
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      "load: share names a group, but other tabs cannot read this page's File; load a URL, or leave share out",
      {
        option: "share",
      },
    );
  }
  const group = typeof share === "string" ? `named ${share}` : `same ${JSON.stringify([record, sent])}`;
  return async (onEnded) => (await connectShared(files, group, onEnded)) ?? own(onEnded);
}

/** Browsers tell roughly what a device has, at most 32 GB; it helps people, and decides nothing. */
function withHint(error: unknown): unknown {
  const { deviceMemory } = navigator as { readonly deviceMemory?: number };
  if (!(error instanceof FrugalError) || error.code !== "FRUGAL_OUT_OF_MEMORY" || deviceMemory === undefined) return error;
  return new FrugalError(
    error.code,
    `${error.message} (this device says that it has about ${deviceMemory} GB)`,
    { ...error.fields, deviceMemory },
    { cause: error },
  );
}
