/** The page's end of a port: calls, their events and their one end each. */
import { FrugalError } from "../tensor/error.ts";
import { answererMessage, type CallerMessage, fromErrorRecord, protocolVersion } from "./protocol.ts";

/** What both a MessagePort of a browser and one of Node are. */
export interface Port {
  onmessage: ((event: MessageEvent) => void) | null;
  onmessageerror: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer: Transferable[]): void;
  close(): void;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((value: unknown) => void) | undefined;
}

export interface Caller {
  /** Rejects as the engine's side does, with the signal's reason after an abort, or with what `end` was given. */
  call(method: string, args: readonly unknown[], options?: CallOptions): Promise<unknown>;
  /** Nothing will come any more: every call under way, and every later one, rejects with this. */
  end(reason: Error): void;
  /** Tells the engine that this page is done. */
  close(reason: Error): void;
}

interface Pending {
  readonly settle: (end: { readonly value: unknown } | { readonly error: unknown }) => void;
  readonly onEvent: ((value: unknown) => void) | undefined;
}

export function createCaller(port: Port): Caller {
  const pending = new Map<number, Pending>();
  let lastId = 0;
  let ended: Error | undefined;
  const send = (message: CallerMessage, transfer: Transferable[] = []): void => port.postMessage(message, transfer);
  const settle = (id: number, end: Parameters<Pending["settle"]>[0]): void => {
    const call = pending.get(id);
    pending.delete(id);
    call?.settle(end);
  };
  const end = (reason: Error): void => {
    if (ended !== undefined) return;
    ended = reason;
    port.onmessage = null;
    port.close();
    for (const id of pending.keys()) settle(id, { error: reason });
  };

  port.onmessage = ({ data }: MessageEvent) => {
    try {
      const message = answererMessage(data);
      if (message.type === "done") return settle(message.id, { value: message.value });
      if (message.type === "failed") return settle(message.id, { error: fromErrorRecord(message.error) });
      for (const { id, value } of message.events) pending.get(id)?.onEvent?.(value);
      send({ type: "read", batches: 1 });
    } catch (error) {
      end(error as Error);
    }
  };
  port.onmessageerror = () =>
    end(new FrugalError("FRUGAL_ENDED", "engine: a message could not be read, perhaps for lack of memory; load the model again"));

  return {
    async call(method, args, { signal, onEvent } = {}) {
      if (ended !== undefined) throw ended;
      signal?.throwIfAborted();
      const id = ++lastId;
      try {
        send({ type: "call", version: protocolVersion, id, method, args });
      } catch (error) {
        throw uncloneable(method, error);
      }
      const onAbort = (): void => send({ type: "abort", id });
      signal?.addEventListener("abort", onAbort, { once: true });
      try {
        return await new Promise<unknown>((resolve, reject) => {
          pending.set(id, {
            onEvent,
            settle: (outcome) => ("error" in outcome ? reject(outcome.error as Error) : resolve(outcome.value)),
          });
        });
      } catch (error) {
        // The engine has only heard that it was aborted.
        if (signal?.aborted === true && error instanceof DOMException && error.name === "AbortError") throw signal.reason;
        throw error;
      } finally {
        signal?.removeEventListener("abort", onAbort);
      }
    },
    end,
    close(reason) {
      if (ended === undefined) send({ type: "bye" });
      end(reason);
    },
  };
}

/** A function among the options, for instance. */
const uncloneable = (method: string, error: unknown): FrugalError =>
  new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${method}: its arguments cannot be sent to the engine's worker: ${error instanceof Error ? error.message : String(error)}; give plain values`,
    { method },
    { cause: error },
  );
