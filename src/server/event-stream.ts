/**
 * Server-sent events, written by hand: at each step of the engine every stream gets one write. The headers wait for the first event, so what
 * fails before it is an ordinary error; a reader that stops reading is waited for, then given up.
 */
import { failureOf } from "./errors.ts";
import { ClientGone, type RequestScope } from "./request-scope.ts";
import type { ServerSettings } from "./settings.ts";

export interface EventStream {
  /** One event, its data as JSON text. Sent together with others of the same turn. A name becomes an `event:` line. */
  send(json: string, event?: string): void;
  /** Whether the reader is slower than what is written: nothing more should be sent until `ready`. */
  isBehind(): boolean;
  /** Resolves when the reader has caught up. Rejects with the signal's reason, that of a reader who stopped among them. */
  ready(): Promise<void>;
  /** Whether the headers are on their way. */
  readonly begun: boolean;
  /** Sends what waits, then `data: [DONE]` unless told otherwise, and closes. */
  end(last?: string): void;
  /** An event with the error, and the end. */
  fail(error: unknown): void;
}

/** Characters that are sent at once, so that a full connection is noticed before more comes. */
const largeWrite = 32_768;

const headers = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  connection: "keep-alive",
  // Proxies such as nginx would hold events back.
  "x-accel-buffering": "no",
};

export function eventStream({ outgoing, signal, abort }: RequestScope, { keepAlive, stallTimeout }: ServerSettings): EventStream {
  let waiting = "";
  let begun = false;
  let flushing = false;
  let written = performance.now();

  const write = (text: string): void => {
    // An error may have been answered in the meantime.
    if (outgoing.destroyed || outgoing.writableEnded || (outgoing.headersSent && !begun)) return;
    if (!begun) outgoing.writeHead(200, headers);
    begun = true;
    written = performance.now();
    outgoing.write(text);
  };
  const flush = (): void => {
    flushing = false;
    if (waiting === "") return;
    const text = waiting;
    waiting = "";
    write(text);
  };
  const comments =
    keepAlive === 0
      ? undefined
      : setInterval(() => {
          if (performance.now() - written >= keepAlive * 900 && !outgoing.writableNeedDrain) write(": still working\n\n");
        }, keepAlive * 1000);
  comments?.unref();
  outgoing.once("close", () => clearInterval(comments));

  /** One for all texts of the stream. */
  let behind: Promise<void> | undefined;
  const untilDrained = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        abort(new ClientGone(`the reader took nothing for ${stallTimeout} s`));
        outgoing.destroy();
      }, stallTimeout * 1000);
      const finish = (then: () => void): void => {
        clearTimeout(timer);
        outgoing.off("drain", onDrain);
        signal.removeEventListener("abort", onAbort);
        then();
      };
      const onDrain = (): void => finish(resolve);
      const onAbort = (): void => finish(() => reject(signal.reason as Error));
      outgoing.once("drain", onDrain);
      signal.addEventListener("abort", onAbort, { once: true });
    });

  const stream: EventStream = {
    send(json, event) {
      waiting += event === undefined ? `data: ${json}\n\n` : `event: ${event}\ndata: ${json}\n\n`;
      if (waiting.length > largeWrite) return flush();
      if (flushing) return;
      flushing = true;
      process.nextTick(flush);
    },
    isBehind: () => outgoing.writableNeedDrain && !outgoing.destroyed,
    ready: () => (behind ??= untilDrained().finally(() => (behind = undefined))),
    get begun() {
      return begun || waiting !== "";
    },
    end(last = "data: [DONE]\n\n") {
      clearInterval(comments);
      waiting += last;
      flush();
      outgoing.end();
    },
    fail(error) {
      stream.end(`data: ${JSON.stringify(failureOf(error).body)}\n\n`);
    },
  };
  return stream;
}
