/** What went wrong, as a status and the error object of OpenAI's API. */
import { FrugalError } from "../tensor/error.ts";

/** Thrown by routes where the request itself is at fault, or the server will not take it. */
export class HttpError extends Error {
  readonly status: number;
  readonly code: string | null;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    message: string,
    { code, param, headers }: { readonly code?: string; readonly param?: string; readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code ?? null;
    this.param = param ?? null;
    this.headers = headers ?? {};
  }
}

/** As it is sent: `{"error": ErrorBody}`. */
export interface ErrorBody {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
}

export interface Failure {
  readonly status: number;
  readonly body: { readonly error: ErrorBody };
  readonly headers: Readonly<Record<string, string>>;
}

/** What the client gets to see of an error. */
export function failureOf(error: unknown): Failure {
  if (error instanceof HttpError) return failure(error.status, error.message, error.code, error.param, error.headers);
  if (error instanceof FrugalError) {
    const [status, code] = statuses[error.code] ?? [500, "internal_error"];
    const param = error.fields["option"] ?? error.fields["param"];
    const wait = error.fields["retryAfterSeconds"];
    return failure(
      status,
      error.message,
      code,
      // Options of the engine are spelled logitBias, fields of requests logit_bias.
      typeof param === "string" ? param.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : null,
      typeof wait === "number" ? { "retry-after": String(Math.max(1, Math.ceil(wait))) } : {},
    );
  }
  return failure(500, "server: a fault of ours; the server's log says more beside this request's x-request-id", "internal_error", null, {});
}

const statuses: Readonly<Record<string, readonly [status: number, code: string]>> = {
  FRUGAL_BAD_ARGUMENT: [400, "invalid_value"],
  FRUGAL_SHAPE: [400, "invalid_value"],
  FRUGAL_UNSUPPORTED: [400, "unsupported"],
  FRUGAL_BAD_FILE: [400, "bad_file"],
  FRUGAL_BAD_CONFIG: [400, "bad_file"],
  FRUGAL_CONTEXT_FULL: [400, "context_length_exceeded"],
  FRUGAL_NOT_FOUND: [404, "not_found"],
  FRUGAL_BUSY: [429, "server_busy"],
  FRUGAL_OUT_OF_MEMORY: [503, "out_of_memory"],
  FRUGAL_DISPOSED: [503, "shutting_down"],
  FRUGAL_NUMERIC: [500, "not_a_number"],
};

const types: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
  503: "service_unavailable",
};

const failure = (
  status: number,
  message: string,
  code: string | null,
  param: string | null,
  headers: Readonly<Record<string, string>>,
): Failure => ({
  status,
  body: { error: { message, type: types[status] ?? (status < 500 ? "invalid_request_error" : "server_error"), param, code } },
  headers,
});
