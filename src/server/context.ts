/** What every route gets to know: the models, the settings, the log, and who else listens. Nothing here is global: two servers may run in one process. */
import type { HttpBindings } from "@hono/node-server";
import type { Logger } from "pino";
import type { FrugalModel } from "../serving/model.ts";
import type { RequestScope } from "./request-scope.ts";
import type { ServerSettings } from "./settings.ts";

/** A model under the name that requests ask for. */
export interface ServedModel {
  readonly name: string;
  readonly model: FrugalModel;
}

/** One generation that has ended, whatever way: for the log and the metrics. Times in milliseconds. */
export interface GenerationReport {
  readonly model: string;
  readonly outcome: "stop" | "length" | "aborted" | "failed";
  /** Of a failure: its code, where it has one. */
  readonly errorCode?: string;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
  readonly maxTokens: number | undefined;
  /** Until it was first scheduled; undefined where it never was. */
  readonly queued: number | undefined;
  readonly timeToFirstToken: number | undefined;
  readonly total: number;
}

/** One request that has ended. */
export interface RequestReport {
  readonly route: string;
  readonly method: string;
  /** What was sent; 499 where the client left before it was. */
  readonly status: number;
  readonly milliseconds: number;
  /** "refused": the request was at fault, or came at a bad time (4xx, and 503 at shut-down). */
  readonly outcome: "finished" | "refused" | "aborted" | "failed";
}

/** Whoever counts. A listener must not throw. */
export interface ServerObserver {
  requestStarted?(route: string): void;
  requestEnded?(report: RequestReport): void;
  /** Once a request: texts of each prompt, and the most tokens of each where that is said. */
  generationStarted?(model: string, choices: number, maxTokens: number | undefined): void;
  /** Milliseconds between two tokens of one text. */
  tokenGap?(model: string, milliseconds: number): void;
  generationEnded?(report: GenerationReport): void;
}

export interface ServerContext {
  /** The first answers to "default" too. */
  readonly models: readonly ServedModel[];
  readonly settings: ServerSettings;
  readonly log: Logger;
  readonly observers: Set<ServerObserver>;
  /** Called once the server has closed. */
  readonly onClose: Set<() => void>;
  /** Requests under way. */
  readonly active: Set<RequestScope>;
  /** Says what answers: changes with the model, the backend and the version. */
  readonly fingerprint: string;
  readonly version: string;
  /** By Date, in seconds: what /v1/models calls created. */
  readonly started: number;
  /** Set once the server shuts down: new requests are refused. */
  draining: boolean;
}

/** Of hono's apps. */
export interface ServerEnv {
  Bindings: HttpBindings;
  Variables: { scope: RequestScope };
}

/** Tells all observers. */
export function observe(context: ServerContext, tell: (observer: ServerObserver) => void): void {
  for (const observer of context.observers) tell(observer);
}
