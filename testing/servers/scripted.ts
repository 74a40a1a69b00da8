/** A server with OpenAI's addresses that writes tokens at times that a script says, so that a load generator can be held against the clock. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Script {
  /** Milliseconds before the first token. */
  readonly first: number;
  /** Milliseconds between tokens. */
  readonly gap: number;
  /** Absent: as many as the request asks for. */
  readonly tokens?: number;
  /** Tokens in one event. Default 1. */
  readonly bundle?: number;
  readonly usage?: boolean;
  /** What goes wrong instead. */
  readonly fault?: "status" | "cut" | "error event" | "no JSON" | "silence";
}

export interface ScriptedServer {
  readonly url: string;
  readonly seen: { readonly path: string; readonly body: Record<string, unknown>; readonly key: string | undefined }[];
  /** Requests whose client went away before the end. */
  left: number;
  script: Script;
  close(): Promise<void>;
}

export async function serveScript(script: Script): Promise<ScriptedServer> {
  const server = createServer((request, response) => {
    answer(scripted, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const scripted: ScriptedServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen: [],
    left: 0,
    script,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return scripted;
}

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, milliseconds));

async function answer(server: ScriptedServer, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const path = request.url ?? "";
  if (path === "/v1/models") {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ data: [{ id: "scripted" }] }));
    return;
  }
  const body = JSON.parse(Buffer.concat(parts).toString()) as Record<string, unknown>;
  server.seen.push({ path, body, key: request.headers.authorization });
  response.on("close", () => {
    if (!response.writableFinished) server.left++;
  });
  const { first, gap, bundle = 1, usage = true, fault } = server.script;
  const tokens = server.script.tokens ?? Number(body["max_tokens"]);
  if (fault === "silence") return;
  if (fault === "status") {
    response
      .writeHead(429, { "content-type": "application/json", "retry-after": "1" })
      .end(JSON.stringify({ error: { message: "too many" } }));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const event = (value: unknown): void => void response.write(`data: ${JSON.stringify(value)}\n\n`);
  const isChat = path.endsWith("/chat/completions");
  if (isChat) event({ choices: [{ delta: { role: "assistant", content: "" } }] });
  // Against the clock and not from one sleep to the next, so that delays do not add up.
  const begun = performance.now();
  for (let i = 0; i < tokens; i += bundle) {
    await sleep(Math.max(0, begun + first + (i / bundle) * gap - performance.now()));
    if (fault === "cut" && i > 0) return void response.destroy();
    if (fault === "error event" && i > 0) return void response.end(`data: ${JSON.stringify({ error: { message: "out of luck" } })}\n\n`);
    if (fault === "no JSON" && i > 0) return void response.end("data: {oh\n\n");
    const text = " word".repeat(Math.min(bundle, tokens - i));
    event({ choices: [isChat ? { delta: { content: text } } : { text }] });
  }
  event({ choices: [isChat ? { delta: {}, finish_reason: "length" } : { text: "", finish_reason: "length" }] });
  if (usage) event({ choices: [], usage: { prompt_tokens: 7, completion_tokens: tokens, prompt_tokens_details: { cached_tokens: 3 } } });
  response.end("data: [DONE]\n\n");
}
