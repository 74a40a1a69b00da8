/**
 * What pages and the engine's worker say to each other over a MessagePort, and how each checks what arrives. Everything is a call: it may send
 * events, and ends with exactly one of done and failed. The number grows with every change of meaning; both ends must have the same one, and
 * pages with different ones share nothing.
 */
import { type ErrorCode, type ErrorFields, FrugalError } from "../tensor/error.ts";

export const protocolVersion = 1;

/** What crosses in place of an error. */
export interface ErrorRecord {
  readonly name: string;
  readonly message: string;
  /** Of FrugalErrors. */
  readonly code?: ErrorCode;
  readonly fields?: ErrorFields;
}

/** From a page to the engine. */
export type CallerMessage =
  | { readonly type: "call"; readonly version: number; readonly id: number; readonly method: string; readonly args: readonly unknown[] }
  | { readonly type: "abort"; readonly id: number }
  /** So many batches of events have been read. */
  | { readonly type: "read"; readonly batches: number }
  | { readonly type: "bye" };

/** From the engine to a page. */
export type AnswererMessage =
  | { readonly type: "events"; readonly events: readonly { readonly id: number; readonly value: unknown }[] }
  | { readonly type: "done"; readonly id: number; readonly value: unknown }
  | { readonly type: "failed"; readonly id: number; readonly error: ErrorRecord };

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;

const wrong = (what: string): FrugalError =>
  new FrugalError("FRUGAL_BAD_ARGUMENT", `browser: ${what}; load the page again, so that all its parts are of one version of Frugal`);

/** @throws FRUGAL_BAD_ARGUMENT for what is no message of a page, or of another version. */
export function callerMessage(value: unknown): CallerMessage {
  if (!isRecord(value)) throw wrong("a message to the engine is no object");
  if (value["type"] === "bye") return { type: "bye" };
  if (value["type"] === "read" && isId(value["batches"])) return { type: "read", batches: value["batches"] };
  if (value["type"] === "abort" && isId(value["id"])) return { type: "abort", id: value["id"] };
  if (value["type"] !== "call" || !isId(value["id"]))
    throw wrong(`a message to the engine of type ${JSON.stringify(value["type"])} is not known`);
  const { id, version, method, args } = value;
  if (version !== protocolVersion) throw wrong(`a page speaks version ${String(version)} to an engine of version ${protocolVersion}`);
  if (typeof method !== "string" || !Array.isArray(args)) throw wrong("a call to the engine has no method or no arguments");
  return { type: "call", version, id, method, args };
}

/** @throws FRUGAL_BAD_ARGUMENT for what is no message of an engine. */
export function answererMessage(value: unknown): AnswererMessage {
  if (!isRecord(value)) throw wrong("a message of the engine is no object");
  const { type, id, events } = value;
  if (type === "done" && isId(id)) return { type, id, value: value["value"] };
  if (type === "failed" && isId(id)) return { type, id, error: errorRecord(value["error"]) };
  if (type === "events" && Array.isArray(events) && events.every((event) => isRecord(event) && isId(event["id"])))
    return { type, events: events as { id: number; value: unknown }[] };
  throw wrong(`a message of the engine of type ${JSON.stringify(type)} is not known`);
}

function errorRecord(value: unknown): ErrorRecord {
  if (!isRecord(value) || typeof value["name"] !== "string" || typeof value["message"] !== "string")
    throw wrong("an error of the engine is none");
  const { name, message, code, fields } = value;
  return {
    name,
    message,
    ...(typeof code === "string" ? { code: code as ErrorCode } : {}),
    ...(isRecord(fields) ? { fields: fields as ErrorFields } : {}),
  };
}

export function toErrorRecord(error: unknown): ErrorRecord {
  if (error instanceof FrugalError) return { name: error.name, message: error.message, code: error.code, fields: { ...error.fields } };
  if (error instanceof Error) return { name: error.name, message: error.message };
  return { name: "Error", message: String(error) };
}

/** The error that the engine's side had; what was no FrugalError there is a fault of ours, but for aborts, which keep their name. */
export function fromErrorRecord({ name, message, code, fields }: ErrorRecord): Error {
  if (code !== undefined) return new FrugalError(code, message, fields);
  if (name === "AbortError" || name === "TimeoutError") return new DOMException(message, name);
  return new FrugalError("FRUGAL_INTERNAL", `engine: ${name}: ${message}; this is a fault of Frugal, please report it`);
}

/** Buffers that a result owns whole, to be moved rather than copied. */
export function buffersIn(value: unknown): ArrayBuffer[] {
  const found = new Set<ArrayBuffer>();
  const look = (each: unknown, depth: number): void => {
    if (ArrayBuffer.isView(each)) {
      if (each.buffer instanceof ArrayBuffer && each.byteLength === each.buffer.byteLength) found.add(each.buffer);
    } else if (depth > 0 && (Array.isArray(each) || isRecord(each))) for (const inner of Object.values(each)) look(inner, depth - 1);
  };
  look(value, 3);
  return [...found];
}
