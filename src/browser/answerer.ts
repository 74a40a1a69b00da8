/** The engine's end of a port: answers calls out of a table, and ends what a page that left had begun. */
import { FrugalError, nearest } from "../tensor/error.ts";
import type { Port } from "./caller.ts";
import { type AnswererMessage, buffersIn, callerMessage, toErrorRecord } from "./protocol.ts";

export interface CallContext {
  /** Sends an event; those of a step go together. */
  emit(value: unknown): void;
  /** As `emit`, of calls that never end by themselves: where the page does not read, only the last ones are kept. */
  report(value: unknown): void;
  /** Aborted by the page, or when it has left. */
  readonly signal: AbortSignal;
}

/** What may be called, by name. The arguments are a page's: each method checks its own. Buffers of results are moved, not copied. */
export type Methods = Readonly<Record<string, (args: readonly unknown[], context: CallContext) => Promise<unknown>>>;

/** Batches of events under way to a page that has not read them. */
const mostUnread = 8;
/** Reports that wait meanwhile. A run's events are as many as its tokens; reports come as long as the model lives. */
const mostReports = 256;

export interface Answerer {
  /** The page is gone: aborts its calls. Resolves when all have ended. */
  end(): Promise<void>;
}

/** Answers a port until it says bye or `end` is called; `onEnd` is called once then. */
export function answerPort(port: Port, methods: Methods, onEnd: () => void): Answerer {
  const running = new Map<number, AbortController>();
  const work = new Set<Promise<void>>();
  let waiting: { readonly id: number; readonly value: unknown; readonly isReport: boolean }[] = [];
  let unread = 0;
  let isPlanned = false;
  let ended = false;
  const send = (message: AnswererMessage, transfer: Transferable[] = []): void => {
    if (!ended) port.postMessage(message, transfer);
  };
  const flush = (): void => {
    if (waiting.length === 0) return;
    const events = waiting.map(({ id, value }) => ({ id, value }));
    waiting = [];
    unread++;
    send({ type: "events", events });
  };
  const emit = (id: number, value: unknown, isReport: boolean): void => {
    if (ended || !running.has(id)) return;
    waiting.push({ id, value, isReport });
    if (unread >= mostUnread) {
      const reports = isReport ? waiting.filter((event) => event.isReport) : [];
      if (reports.length > mostReports) waiting.splice(waiting.indexOf(reports[0]!), 1);
      return;
    }
    if (isPlanned) return;
    isPlanned = true;
    // All tokens of a step are chosen before this runs.
    queueMicrotask(() => {
      isPlanned = false;
      if (unread < mostUnread) flush();
    });
  };

  async function answer(id: number, method: string, args: readonly unknown[]): Promise<void> {
    const controller = new AbortController();
    running.set(id, controller);
    try {
      const call = Object.hasOwn(methods, method) ? methods[method] : undefined;
      if (call === undefined) throw unknownMethod(method, methods);
      const value = await call(args, {
        emit: (event) => emit(id, event, false),
        report: (event) => emit(id, event, true),
        signal: controller.signal,
      });
      flush();
      send({ type: "done", id, value }, buffersIn(value));
    } catch (error) {
      flush();
      send({ type: "failed", id, error: toErrorRecord(error) });
    } finally {
      running.delete(id);
    }
  }

  async function end(): Promise<void> {
    if (!ended) {
      ended = true;
      port.onmessage = null;
      port.close();
      const reason = new FrugalError("FRUGAL_DISPOSED", "engine: the page that asked has left");
      for (const controller of running.values()) controller.abort(reason);
      onEnd();
    }
    await Promise.all(work);
  }

  port.onmessage = ({ data }: MessageEvent) => {
    try {
      const message = callerMessage(data);
      if (message.type === "bye") void end();
      else if (message.type === "abort") running.get(message.id)?.abort();
      else if (message.type === "read") {
        unread = Math.max(0, unread - message.batches);
        if (unread < mostUnread) flush();
      } else if (running.has(message.id))
        throw new FrugalError("FRUGAL_BAD_ARGUMENT", `engine: call ${message.id} is under way; number calls anew`, { id: message.id });
      else {
        const answering = answer(message.id, message.method, message.args).finally(() => work.delete(answering));
        work.add(answering);
      }
    } catch (error) {
      const id = (data as { readonly id?: unknown } | null)?.id;
      if (Number.isSafeInteger(id) && !running.has(id as number)) send({ type: "failed", id: id as number, error: toErrorRecord(error) });
    }
  };
  return { end };
}

function unknownMethod(method: string, methods: Methods): FrugalError {
  const near = nearest(method, Object.keys(methods));
  return new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `engine: there is no method ${JSON.stringify(method.slice(0, 100))}${near === undefined ? "" : `; did you mean ${near}?`}`,
  );
}
