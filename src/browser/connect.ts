/** Ways to an engine: a worker of this page alone, or the one that the tabs of this origin share. */
import { FrugalError } from "../tensor/error.ts";
import { type Caller, createCaller } from "./caller.ts";
import type { WorkerSettings } from "./engine-worker.ts";
import type { BrowserFiles } from "./files.ts";
import type { HubMessage, TabMessage, WorkerMessage } from "./hub.ts";
import { holdLock } from "./locks.ts";
import { fromErrorRecord, protocolVersion, toErrorRecord } from "./protocol.ts";

export interface Link {
  readonly caller: Caller;
  /** Gives the hold back; the engine's worker ends with its last one. */
  close(reason: Error): Promise<void>;
}

/** `onEnded` is called when the engine is gone by itself; its calls have been rejected then. */
export type Connect = (onEnded: (error: Error) => void) => Promise<Link>;

interface EngineWorker {
  /** The worker is sent these. */
  send(message: WorkerMessage | WorkerSettings, transfer: Transferable[]): void;
  /** Ends it once the engine has given everything back. */
  stop(): Promise<void>;
}

/** Milliseconds for an engine to end its threads; then its worker is terminated as it is. */
const endPatience = 3000;

function startWorker(files: BrowserFiles, onCrash: (error: Error) => void): EngineWorker {
  // Written out, so that bundlers see what belongs to the page.
  const worker =
    files.engine === undefined
      ? new Worker(new URL("./engine.js", import.meta.url), { type: "module", name: "frugal" })
      : new Worker(files.engine, { type: "module", name: "frugal" });
  const crash = (error: Error): void => {
    worker.terminate();
    onCrash(error);
  };
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    crash(workerFailed(event.message, files));
  });
  worker.addEventListener("messageerror", () => crash(workerFailed("a message could not be read", files)));
  const send: EngineWorker["send"] = (message, transfer) => worker.postMessage(message, transfer);
  const stop = async (): Promise<void> => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      worker.addEventListener("message", () => resolve());
      timer = setTimeout(resolve, endPatience);
      send({ type: "stop" }, []);
    });
    clearTimeout(timer);
    worker.terminate();
  };
  return { send, stop };
}

function workerFailed(message: string | undefined, { engine = "engine.js" }: BrowserFiles): FrugalError {
  if (message === undefined || message === "")
    return new FrugalError(
      "FRUGAL_NOT_FOUND",
      `engine: its worker could not be started from ${String(engine)}; serve the files of dist/browser beside each other, or say where they are (files)`,
    );
  return new FrugalError("FRUGAL_ENDED", `engine: its worker failed: ${message}; ask again, it is started anew`, { retry: true });
}

const settingsOf = ({ thread, relaxed, simd }: BrowserFiles, hub?: MessagePort): WorkerSettings => ({
  type: "settings",
  files: Object.fromEntries(
    Object.entries({ thread, relaxed, simd }).flatMap(([name, place]) => (place === undefined ? [] : [[name, absolute(place)]])),
  ),
  ...(hub === undefined ? {} : { hub }),
});

/** Relative addresses count from the page, not from the worker's script. */
const absolute = (place: string | URL): string => new URL(place, globalThis.document?.baseURI ?? globalThis.location?.href).href;

export const connectOwn =
  (files: BrowserFiles): Connect =>
  async (onEnded) => {
    const { port1, port2 } = new MessageChannel();
    const caller = createCaller(port1);
    const worker = startWorker(files, (error) => {
      caller.end(error);
      onEnded(error);
    });
    worker.send(settingsOf(files), []);
    worker.send({ type: "serve", tab: "own", port: port2 }, [port2]);
    return {
      caller,
      async close(reason) {
        caller.close(reason);
        await worker.stop();
      },
    };
  };

/** Milliseconds for a SharedWorker to answer; where it does not, this page has a worker of its own. */
const patience = 10_000;

/** Undefined where sharing does not work here after all. */
export async function connectShared(files: BrowserFiles, group: string, onEnded: (error: Error) => void): Promise<Link | undefined> {
  const shared = startHub(files);
  if (shared === undefined) return undefined;
  const { port } = shared;
  const post = (message: TabMessage, transfer: Transferable[] = []): void => port.postMessage(message, transfer);
  const tab = crypto.randomUUID();
  const release = await holdLock(tab).catch(() => undefined);
  if (release === undefined) return undefined;
  let worker: EngineWorker | undefined;
  let caller: Caller | undefined;
  /** Set while this tab holds the model. */
  let isHolding = true;
  /** Set when the switchboard knows that it does not any more. */
  let hasLeft = false;
  let onLeft = (): void => undefined;

  const stop = (): void => {
    worker?.stop();
    worker = undefined;
    if (hasLeft) finish();
  };
  const finish = (): void => {
    port.onmessage = null;
    port.close();
    release();
  };
  const serve = (): void => {
    const { port1, port2 } = new MessageChannel();
    worker = startWorker(files, (error) => {
      worker = undefined;
      post({ type: "crashed", error: toErrorRecord(error) });
      if (hasLeft) finish();
    });
    worker.send(settingsOf(files, port1), [port1]);
    post({ type: "serving", port: port2 }, [port2]);
  };

  return new Promise<Link | undefined>((resolve, reject) => {
    let isConnected = false;
    const giveUp = (): void => {
      isHolding = false;
      finish();
      resolve(undefined);
    };
    const timer = setTimeout(giveUp, patience);
    shared.onError = () => {
      clearTimeout(timer);
      if (!isConnected) giveUp();
    };
    port.onmessage = ({ data }: MessageEvent) => {
      const message = data as HubMessage;
      if (message.type === "hello") {
        clearTimeout(timer);
        post({ type: "join", version: protocolVersion, group, tab });
      } else if (message.type === "host") serve();
      else if (message.type === "stop") stop();
      else if (message.type === "left") onLeft();
      else if (message.type === "ended") {
        const error = fromErrorRecord(message.error);
        isHolding = false;
        worker?.stop();
        finish();
        caller?.end(error);
        if (caller === undefined) reject(error);
        else onEnded(error);
      } else {
        isConnected = true;
        const own = createCaller(message.port);
        caller = own;
        resolve({
          caller: own,
          async close(reason) {
            own.close(reason);
            if (!isHolding) return;
            isHolding = false;
            await new Promise<void>((left) => {
              onLeft = left;
              post({ type: "leave" });
            });
            hasLeft = true;
            // A host that has left goes on for the others, until it is told to stop.
            if (worker === undefined) finish();
          },
        });
      }
    };
  });
}

interface Hub {
  readonly port: MessagePort;
  onError: () => void;
}

function startHub(files: BrowserFiles): Hub | undefined {
  try {
    const name = `frugal-${protocolVersion}`;
    const shared =
      files.hub === undefined
        ? new SharedWorker(new URL("./hub.js", import.meta.url), { type: "module", name })
        : new SharedWorker(files.hub, { type: "module", name });
    const hub: Hub = { port: shared.port, onError: () => undefined };
    shared.addEventListener("error", () => hub.onError());
    return hub;
  } catch {
    // A policy of the page, or an address of another origin.
    return undefined;
  }
}
