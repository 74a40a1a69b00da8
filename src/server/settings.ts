/** The server's options, and what they are where nobody says. */
import type { Logger } from "pino";
import { FrugalError } from "../tensor/error.ts";
import { checkOptions, wholeNumber } from "../tensor/options.ts";

/** Options of `serve`. */
export interface ServeOptions {
  /** 0 takes a free one. Default 8080. */
  readonly port?: number;
  /** The address to listen on. Default 127.0.0.1: this machine only. */
  readonly host?: string;
  /** Requests must carry one of them as `Authorization: Bearer KEY`. Default: none, everybody may ask. */
  readonly apiKeys?: readonly string[];
  /** The name that requests ask for. Default: the model's own. It always answers to "default" too. */
  readonly servedName?: string;
  /** Pages of which origins may ask from a browser: "*" or origins. Default: none. */
  readonly cors?: "*" | readonly string[];
  /** Largest body of a request, in bytes. Default 4 MiB. */
  readonly bodyLimit?: number;
  /** Seconds between comments that keep a quiet stream alive; 0 sends none. Default 15. */
  readonly keepAlive?: number;
  /** Seconds that a reader of a stream may not read before its request is ended. Default 30. */
  readonly stallTimeout?: number;
  /** Seconds that a request's headers may take; its whole body may take three times as long. Default 10. */
  readonly receiveTimeout?: number;
  /** Seconds that an idle connection is kept. Default 30. */
  readonly idleTimeout?: number;
  /** Seconds that running requests get at shut-down. Default 30. */
  readonly grace?: number;
  /** Let requests load and unload adapters from this directory. Default: they may not. */
  readonly adapterDirectory?: string;
  /** Default "info": a line a request, as JSON on stderr. Or a pino logger. */
  readonly log?: "silent" | "error" | "warn" | "info" | "debug" | Logger;
  /** Shuts the server down, as `close` does. */
  readonly signal?: AbortSignal;
}

/** The options with their defaults filled in. Times in seconds. */
export interface ServerSettings {
  readonly port: number;
  readonly host: string;
  readonly apiKeys: readonly string[];
  readonly servedName: string | undefined;
  readonly cors: "*" | readonly string[];
  readonly bodyLimit: number;
  readonly keepAlive: number;
  readonly stallTimeout: number;
  readonly receiveTimeout: number;
  readonly idleTimeout: number;
  readonly grace: number;
  readonly adapterDirectory: string | undefined;
}

const names: readonly (keyof ServeOptions)[] = [
  "port",
  "host",
  "apiKeys",
  "servedName",
  "cors",
  "bodyLimit",
  "keepAlive",
  "stallTimeout",
  "receiveTimeout",
  "idleTimeout",
  "grace",
  "adapterDirectory",
  "log",
  "signal",
];

/** @throws FRUGAL_BAD_ARGUMENT for an option that is unknown or out of range. */
export function settle(options: ServeOptions): ServerSettings {
  checkOptions("serve", options, names);
  wholeNumber("serve", "port", options.port, 0, 65535);
  wholeNumber("serve", "bodyLimit", options.bodyLimit, 1, 2 ** 30);
  return {
    port: options.port ?? 8080,
    host: text("host", options.host) ?? "127.0.0.1",
    apiKeys: texts("apiKeys", options.apiKeys) ?? [],
    servedName: text("servedName", options.servedName),
    cors: options.cors === "*" ? "*" : (texts("cors", options.cors) ?? []),
    bodyLimit: options.bodyLimit ?? 4 * 2 ** 20,
    keepAlive: seconds("keepAlive", options.keepAlive, 0) ?? 15,
    stallTimeout: seconds("stallTimeout", options.stallTimeout) ?? 30,
    receiveTimeout: seconds("receiveTimeout", options.receiveTimeout) ?? 10,
    idleTimeout: seconds("idleTimeout", options.idleTimeout) ?? 30,
    grace: seconds("grace", options.grace, 0) ?? 30,
    adapterDirectory: text("adapterDirectory", options.adapterDirectory),
  };
}

function text(option: string, value: unknown): string | undefined {
  if (value === undefined || (typeof value === "string" && value !== "")) return value;
  throw wrong(option, value, "a text");
}

function texts(option: string, value: unknown): readonly string[] | undefined {
  if (value === undefined || (Array.isArray(value) && value.every((item) => typeof item === "string" && item !== ""))) return value;
  throw wrong(option, value, "a list of texts");
}

function seconds(option: string, value: unknown, least = 0.001): number | undefined {
  if (value === undefined || (typeof value === "number" && value >= least && value <= 86_400)) return value;
  throw wrong(option, value, `seconds from ${least} to 86400`);
}

// The value of apiKeys must not reach a log.
const wrong = (option: string, value: unknown, wanted: string): FrugalError =>
  new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `serve: ${option} is ${option === "apiKeys" ? "something else" : JSON.stringify(value)}; give ${wanted}`,
    { option },
  );
