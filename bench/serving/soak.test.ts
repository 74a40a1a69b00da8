/** A short soak of a real `frugal serve`; and that what a soak looks for would be found. */
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CommandLine, compileCommandLine } from "../../testing/command-line.ts";
import { freePort, startServer } from "./server-process.ts";
import { soak, type SoakOptions } from "./soak.ts";

const stories = fileURLToPath(new URL("../../models/stories/stories.gguf", import.meta.url));
const { signal } = new AbortController();
const options = { clients: 6, adapters: [], seed: 1, signal, memory: () => undefined, openFiles: () => undefined, say() {} } satisfies Omit<
  SoakOptions,
  "url" | "seconds"
>;

describe("frugal serve", () => {
  let frugal: CommandLine;
  beforeAll(() => {
    frugal = compileCommandLine();
  });
  afterAll(() => frugal.remove());

  test("answers everything, always the same, and gives everything back", { timeout: 180_000 }, async () => {
    const port = await freePort();
    const sizes = ["--context", "512", "--cache-tokens", "768", "--sequences", "4", "--queue", "12", "--threads", "1"];
    const server = await startServer(
      process.execPath,
      [join(frugal.folder, "bin/frugal"), "serve", stories, "--port", String(port), ...sizes, "--log", "error"],
      port,
      signal,
    );
    try {
      const result = await soak({
        ...options,
        url: server.url,
        seconds: 12,
        memory: () => server.memory()?.resident,
        openFiles: () => server.openFiles(),
      });
      expect(result.leftOut).toEqual([]);
      expect(result.violations).toEqual([]);
      expect(result.answered).toBeGreaterThan(20);
      for (const kind of ["aborted", "malformed", "disconnected"] as const) expect(result[kind]).toBeGreaterThan(0);
      expect(result.quiet.map(({ pagesHeld }) => pagesHeld)).toEqual(result.quiet.map(() => 0));
      // The load generator against our own server: what the server counts is what was asked for.
      for (const endpoint of ["chat", "completions"]) {
        const load = ["--requests", "6", "--concurrency", "3", "--prompt-tokens", "12", "--output-tokens", "9", "--endpoint", endpoint];
        const { stdout, stderr } = await frugal.run(["bench", "serve", server.url, ...load, "--json"]);
        expect(stderr).toBe("");
        expect(JSON.parse(stdout)).toMatchObject({
          completed: 6,
          failed: 0,
          output_tokens: 54,
          tokens_counted_by: "server",
          model: "stories.gguf",
        });
      }
    } finally {
      expect(await server.stop()).toBe(0);
    }
  });
});

describe("a server that is wrong is found out", () => {
  let server: Server;
  let fault: "none" | "other text" | "pages" | "500" | "accepts" | "stays busy" = "none";
  let asked = 0;
  const listener: RequestListener = (request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      if (request.url === "/metrics") {
        const held = fault === "pages" ? 0.25 : 0;
        return void response.end(
          `vllm:num_requests_running ${fault === "stays busy" ? 1 : 0}\nvllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc{engine="0"} ${held}\n`,
        );
      }
      let body: Record<string, unknown> | undefined;
      try {
        body = JSON.parse(Buffer.concat(parts).toString()) as Record<string, unknown>;
      } catch {
        // Malformed.
      }
      if (fault !== "accepts" && body?.["max_tokens"] === undefined) return void response.writeHead(400).end('{"error":{"message":"no"}}');
      if (body?.["max_tokens"] === -5 || typeof body?.["model"] !== "string")
        return void response.writeHead(fault === "accepts" ? 200 : 400).end('{"error":{}}');
      // The first 24 are what each request gets alone.
      asked++;
      if (fault === "500" && asked > 24) return void response.writeHead(500).end("{}");
      const text = fault === "other text" && asked > 24 ? "other" : "text";
      const choice = { text, message: { content: text }, delta: { content: text }, finish_reason: "length" };
      const answer = JSON.stringify({ choices: [choice], usage: { completion_tokens: 1 } });
      response.end(body["stream"] === true ? `data: ${answer}\n\ndata: [DONE]\n\n` : answer);
    });
    request.on("error", () => undefined);
  };
  beforeAll(async () => {
    server = createServer(listener);
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => void server.close());

  test.each([
    ["none", undefined],
    ["other text", /^different answer: /],
    ["pages", /^pages: a share of 0.25 is held/],
    ["500", /^status: 500/],
    ["accepts", /^not refused: /],
    ["stays busy", /^not idle: 1 run/],
  ] as const)("%s", { timeout: 60_000 }, async (what, message) => {
    fault = what;
    asked = 0;
    const { violations } = await soak({
      ...options,
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      seconds: 0.4,
      restWithin: 0.2,
    });
    if (message === undefined) expect(violations).toEqual([]);
    else expect(violations.some((violation) => message.test(violation))).toBe(true);
  });
});
