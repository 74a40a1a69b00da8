/** One request to a server that speaks OpenAI's protocol, streamed, with the time of each piece. */
import { FrugalError } from "../../tensor/error.ts";
import { readEvents } from "./event-stream.ts";
import type { PromptText } from "./prompts.ts";

export type Endpoint = "chat" | "completions";

export interface Target {
  /** Of the server, with or without /v1. */
  readonly url: string;
  readonly endpoint: Endpoint;
  readonly model: string;
  readonly apiKey?: string;
  /** Put into each request as it is. */
  readonly extraBody?: Readonly<Record<string, unknown>>;
  /** Milliseconds that a request may take from its beginning to its end. */
  readonly timeout: number;
}

export interface LoadRequest {
  /** Milliseconds after the start; absent where it is sent as soon as somebody has time. */
  readonly at?: number;
  readonly prompt: PromptText;
  readonly outputTokens: number;
  /** Milliseconds after which the client goes away. */
  readonly cancelAfter?: number;
}

/** How a request ended. Times are those of performance.now(). */
export interface Outcome {
  readonly kind: "completed" | "cancelled" | "failed";
  readonly started: number;
  /** When the last event came, or the request was given up. */
  readonly ended: number;
  /** When each piece of the text came; the opening of a reply that says only whose turn it is, and the closing that says only why, are no pieces. */
  readonly pieces: readonly number[];
  readonly text: string;
  /** What the server counted; absent where it does not say. */
  readonly promptTokens?: number;
  readonly cachedTokens?: number;
  readonly outputTokens?: number;
  readonly finishReason?: string;
  /** Why it failed: the status, the system's word, or ours. */
  readonly error?: string;
  /** Whether the request had to be sent again because the server had closed a connection that seemed open. */
  readonly isRetried: boolean;
}

interface Chunk {
  readonly choices?: readonly {
    readonly text?: string | null;
    readonly delta?: {
      readonly role?: string;
      readonly content?: string | null;
      readonly reasoning_content?: string | null;
      readonly tool_calls?: unknown;
    };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: {
    readonly prompt_tokens?: number;
    readonly completion_tokens?: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
  } | null;
  readonly error?: unknown;
}

/** The address under which the server has its endpoints. @throws FRUGAL_BAD_ARGUMENT */
export function serverAddress(url: string): string {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `server: ${JSON.stringify(url)} is no address; give one like http://127.0.0.1:8080`);
  return url.replace(/\/+$/, "").replace(/\/v1$/, "");
}

const headersOf = (apiKey: string | undefined): Record<string, string> => ({
  "content-type": "application/json",
  ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
});

/** The first model that the server offers. Rejects with FRUGAL_NETWORK where it can't be asked. */
export async function firstModel(url: string, apiKey: string | undefined, signal: AbortSignal): Promise<string> {
  const address = `${serverAddress(url)}/v1/models`;
  let response: Response;
  try {
    response = await fetch(address, { headers: headersOf(apiKey), signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new FrugalError(
      "FRUGAL_NETWORK",
      `server: ${address} cannot be reached (${reasonOf(error)}); start the server or check the address`,
    );
  }
  const text = await response.text();
  if (!response.ok)
    throw new FrugalError(
      "FRUGAL_NETWORK",
      `server: ${address} answers ${response.status}: ${text.slice(0, 200)}; ${response.status === 401 ? "give its key" : "name the model"}`,
    );
  try {
    const { data } = JSON.parse(text) as { readonly data?: readonly { readonly id?: unknown }[] };
    const id = data?.[0]?.id;
    if (typeof id === "string") return id;
  } catch {
    // Said below.
  }
  throw new FrugalError("FRUGAL_NETWORK", `server: ${address} lists no model; name it`);
}

/** Never rejects: what went wrong is part of the outcome. */
export async function send(target: Target, request: LoadRequest, signal: AbortSignal): Promise<Outcome> {
  const started = performance.now();
  const state: State = { pieces: [], text: "", isRetried: false };
  const leaving = new AbortController();
  const timeout = AbortSignal.timeout(target.timeout);
  const timer = request.cancelAfter === undefined ? undefined : setTimeout(() => leaving.abort(), request.cancelAfter);
  const settle = (kind: Outcome["kind"], ended: number, error?: string): Outcome => ({
    kind,
    started,
    ended,
    ...state,
    ...(error === undefined ? {} : { error }),
  });
  try {
    const ended = await stream(target, request, state, AbortSignal.any([signal, leaving.signal, timeout]));
    return settle("completed", ended);
  } catch (error) {
    const now = performance.now();
    if (leaving.signal.aborted || signal.aborted) return settle("cancelled", now);
    return settle("failed", now, timeout.aborted ? `no end within ${target.timeout} ms` : reasonOf(error));
  } finally {
    clearTimeout(timer);
  }
}

interface State {
  readonly pieces: number[];
  text: string;
  isRetried: boolean;
  promptTokens?: number;
  cachedTokens?: number;
  outputTokens?: number;
  finishReason?: string;
}

async function stream(target: Target, request: LoadRequest, state: State, signal: AbortSignal): Promise<number> {
  const response = await post(target, request, state, signal);
  if (!response.ok) throw new Error(`${response.status} ${messageOf(await response.text())}`);
  if (response.body === null) throw new Error("the answer has no body");
  let ended: number | undefined;
  let isDone = false;
  for await (const { data, time } of readEvents(response.body)) {
    if (data === "[DONE]") {
      isDone = true;
      break;
    }
    const chunk = parseChunk(data);
    if (chunk.error !== undefined) throw new Error(messageOf(data));
    ended = time;
    take(chunk, time, state);
  }
  if (!isDone) throw new Error("the stream ended without [DONE]");
  if (ended === undefined) throw new Error("the stream has no events");
  return ended;
}

function parseChunk(data: string): Chunk {
  try {
    return JSON.parse(data) as Chunk;
  } catch {
    throw new Error(`an event is no JSON: ${data.slice(0, 80)}`);
  }
}

function take({ choices, usage }: Chunk, time: number, state: State): void {
  const [choice] = choices ?? [];
  if (choice !== undefined) {
    const { delta } = choice;
    const text = choice.text ?? delta?.content ?? delta?.reasoning_content ?? "";
    // A token may have no text of its own, as the first half of a character.
    const says = text !== "" || delta?.tool_calls !== undefined || (delta?.role === undefined && choice.finish_reason == null);
    if (says) state.pieces.push(time);
    state.text += text;
    if (typeof choice.finish_reason === "string") state.finishReason = choice.finish_reason;
  }
  if (usage == null) return;
  if (usage.prompt_tokens !== undefined) state.promptTokens = usage.prompt_tokens;
  if (usage.completion_tokens !== undefined) state.outputTokens = usage.completion_tokens;
  const cached = usage.prompt_tokens_details?.cached_tokens;
  if (cached !== undefined) state.cachedTokens = cached;
}

/** A connection that was kept open may be closed by the server just when it is used again: such a request was never read, and is sent once more. */
async function post(
  { url, endpoint, model, apiKey, extraBody }: Target,
  request: LoadRequest,
  state: State,
  signal: AbortSignal,
): Promise<Response> {
  const { prompt, outputTokens } = request;
  const body = JSON.stringify({
    model,
    ...(endpoint === "chat" ? { messages: [{ role: "user", content: prompt }] } : { prompt }),
    max_tokens: outputTokens,
    ignore_eos: true,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
    ...extraBody,
  });
  const address = `${serverAddress(url)}/v1/${endpoint === "chat" ? "chat/completions" : "completions"}`;
  const attempt = (): Promise<Response> => fetch(address, { method: "POST", headers: headersOf(apiKey), body, signal });
  try {
    return await attempt();
  } catch (error) {
    if (signal.aborted || codeOf(error) !== "UND_ERR_SOCKET") throw error;
    state.isRetried = true;
    return attempt();
  }
}

const codeOf = (error: unknown): unknown => {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause ? cause.code : undefined;
};

function reasonOf(error: unknown): string {
  const code = codeOf(error);
  if (typeof code === "string") return code;
  // fetch says only that it failed; why is beneath.
  if (error instanceof Error && error.cause instanceof Error) return error.cause.message;
  return error instanceof Error ? error.message : String(error);
}

/** The message of an error object, or the beginning of whatever was sent. */
function messageOf(text: string): string {
  try {
    const { error } = JSON.parse(text) as { readonly error?: { readonly message?: unknown } | string };
    if (typeof error === "string") return error;
    if (typeof error?.message === "string") return error.message;
  } catch {
    // Not JSON.
  }
  return text.slice(0, 200);
}
