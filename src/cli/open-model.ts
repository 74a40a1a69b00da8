/** The options that load a model, and the signal of ctrl-C. */
import { setMaxListeners } from "node:events";
import type { CacheFormat } from "../backends/backend.ts";
import type { BackendName } from "../backends/choose.ts";
import type { LoadOptions, ModelParts, StepLimits } from "../serving/load-parts.ts";
import type { SpeculationMode } from "../serving/strategy.ts";
import { printBytes } from "../tensor/byte-size.ts";
import type { Given } from "./command.ts";
import { hubSettings } from "./hub-settings.ts";
import { progressLine } from "./output.ts";

/** What a command knows better than its user. */
interface Opening extends LoadOptions, Omit<StepLimits, "speculation"> {
  /** Its texts may speculate: it has the options `draft` and `speculation`. */
  readonly speculates?: boolean;
}

/** Loads MODEL, the command's first argument. */
export async function openModelOf(given: Given, signal: AbortSignal, more: Opening = {}): Promise<ModelParts> {
  const { loadParts } = await import("../serving/load-parts.ts");
  const {
    rows,
    outputRows,
    program,
    textFor,
    open = opening(given, signal),
    wantsTokenizer = true,
    speculates = false,
    adapterRoom,
    ...loading
  } = more;
  const backend = given.text("backend");
  const context = given.number("context");
  const threads = given.number("threads");
  const cache = given.text("kv");
  const progress = progressLine();
  const options: LoadOptions = {
    signal,
    hub: hubSettings(),
    onProgress: ({ stage, done, total }) =>
      progress.update(`${stage === "download" ? "downloading" : "loading"} ${printBytes(done)} of ${printBytes(total)}`),
    ...loading,
    ...(backend === undefined ? {} : { backend: backend as BackendName }),
    ...(threads === undefined ? {} : { threads }),
    ...(context === undefined ? {} : { context }),
    ...(cache === undefined ? {} : { cache: cache.toUpperCase() as CacheFormat }),
  };
  const speculation = speculates ? await speculationOf(given, options) : undefined;
  try {
    return await loadParts(given.arguments[0]!, options, {
      wantsTokenizer,
      ...(rows === undefined ? {} : { rows }),
      ...(outputRows === undefined ? {} : { outputRows }),
      ...(program === undefined ? {} : { program }),
      ...(open === undefined ? {} : { open }),
      ...(textFor === undefined ? {} : { textFor }),
      ...(speculation === undefined ? {} : { speculation }),
      ...(adapterRoom === undefined ? {} : { adapterRoom }),
    });
  } finally {
    progress.end();
  }
}

/** What proposes tokens, by `--draft` and `--speculation`. */
async function speculationOf(given: Given, options: LoadOptions): Promise<StepLimits["speculation"]> {
  const mode = given.text("speculation") ?? "auto";
  if (mode === "off") return undefined;
  const { chooseStrategy } = await import("../techniques/decoding/choose-strategy.ts");
  return chooseStrategy(given.text("draft"), mode as SpeculationMode, options);
}

/** How the model is opened where `--adapter` is given. */
function opening(given: Given, signal: AbortSignal): StepLimits["open"] {
  const path = given.text("adapter");
  if (path === undefined) return undefined;
  return async (checkpoint) => {
    const { openAdaptedModel } = await import("../techniques/tuning/open-adapter.ts");
    return openAdaptedModel(path, checkpoint, { signal, alpha: given.number("adapter-alpha") });
  };
}

/** Runs `work` with a signal that the first ctrl-C (or SIGTERM) aborts; the second ends the process. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  // Every text of a batch listens to it.
  setMaxListeners(0, controller.signal);
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(1);
    controller.abort();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    return await work(controller.signal);
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

/** Loads MODEL, does `work` with it, and gives its memory back. */
export const withModel = <T>(given: Given, more: Opening, work: (parts: ModelParts, signal: AbortSignal) => Promise<T>): Promise<T> =>
  interruptible(async (signal) => {
    const parts = await openModelOf(given, signal, more);
    try {
      return await work(parts, signal);
    } finally {
      await parts.dispose();
    }
  });
