/** One request under way: its id, its log, and the signal that ends its work when the client leaves or the server gives up. */
import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";
import { HttpError } from "./errors.ts";
import { observe, type RequestReport, type ServerContext } from "./context.ts";

export interface RequestScope {
  readonly id: string;
  /** By performance.now(). */
  readonly started: number;
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly log: Logger;
  /** Aborts when the client has left, or when the request is given up. */
  readonly signal: AbortSignal;
  /** Which of the API's keys it came with, for fair shares; undefined where there are no keys. */
  tenant: string | undefined;
  /** The route that took it, as `/v1/models/:id`. */
  route: string;
  /** What became of it beyond its status, for the log. */
  failure: unknown;
  abort(reason: unknown): void;
}

/** The reason of a scope's signal where the client is gone: nobody is left to read an answer. */
export class ClientGone extends Error {
  override readonly name = "AbortError";
}

/** What may stand in `x-request-id`, so that it cannot break a line of a log. */
const requestId = /^[\w.:-]{1,128}$/;

/** Reports the request's end to the log and the observers exactly once, when its response is closed. */
export function openScope(context: ServerContext, incoming: IncomingMessage, outgoing: ServerResponse): RequestScope {
  const given = incoming.headers["x-request-id"];
  const id = typeof given === "string" && requestId.test(given) ? given : randomUUID();
  const controller = new AbortController();
  // Every text of the request listens to it.
  setMaxListeners(0, controller.signal);
  const scope: RequestScope = {
    id,
    started: performance.now(),
    incoming,
    outgoing,
    log: context.log.child({ request: id }),
    signal: controller.signal,
    tenant: undefined,
    route: "unknown",
    failure: undefined,
    abort: (reason) => controller.abort(reason),
  };
  outgoing.setHeader("x-request-id", id);
  context.active.add(scope);
  // All is written: from here on only its reader can hold it up.
  outgoing.once("prefinish", () => outgoing.setTimeout(context.settings.stallTimeout * 1000, () => outgoing.destroy()));
  // A response that was destroyed says that it has finished, too.
  let sent = false;
  outgoing.once("finish", () => (sent = !incoming.socket.destroyed));
  outgoing.once("close", () => {
    context.active.delete(scope);
    const isGone = !sent;
    if (isGone) controller.abort(new ClientGone("the client has left"));
    const report: RequestReport = {
      route: scope.route,
      method: incoming.method ?? "GET",
      status: isGone && !outgoing.headersSent ? 499 : outgoing.statusCode,
      milliseconds: performance.now() - scope.started,
      outcome: isGone ? "aborted" : outcomeOf(outgoing.statusCode, scope.failure),
    };
    observe(context, (observer) => observer.requestEnded?.(report));
    const line = { ...report, milliseconds: Math.round(report.milliseconds), path: incoming.url?.split("?")[0] };
    if (report.outcome === "failed") scope.log.error({ ...line, err: scope.failure }, "request");
    else scope.log.info({ ...line, ...(scope.failure instanceof Error ? { why: scope.failure.message } : {}) }, "request");
  });
  return scope;
}

function outcomeOf(status: number, failure: unknown): RequestReport["outcome"] {
  if (status < 400) return failure === undefined ? "finished" : "failed";
  return status < 500 || failure instanceof HttpError ? "refused" : "failed";
}
