/** frugal bench serve in a process of its own, against a server that keeps to a script. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type CommandLine, compileCommandLine } from "../../testing/command-line.ts";
import { type ScriptedServer, serveScript } from "../../testing/servers/scripted.ts";

let frugal: CommandLine;
let server: ScriptedServer;
beforeAll(async () => {
  frugal = compileCommandLine();
  server = await serveScript({ first: 0, gap: 0 });
});
afterAll(async () => {
  frugal.remove();
  await server.close();
});
beforeEach(() => {
  server.script = { first: 40, gap: 10 };
  server.seen.length = 0;
});

const bench = (...args: string[]): ReturnType<CommandLine["run"]> => frugal.run(["bench", "serve", server.url, ...args]);
async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await bench(...args, "--json");
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

test("JSON has every figure", async () => {
  const sizes = ["--requests", "6", "--concurrency", "3", "--warmup", "1", "--prompt-tokens", "5", "--output-tokens", "4"];
  const result = await json(...sizes, "--goodput", "ttft:10000,e2el:1");
  expect(result).toMatchObject({ url: server.url, endpoint: "completions", model: "scripted", interrupted: false });
  expect(result).toMatchObject({
    requests: 6,
    completed: 6,
    prompt_tokens: 42,
    output_tokens: 24,
    peak_concurrency: 3,
    request_goodput: 0,
  });
  for (const key of ["ttft_ms", "tpot_ms", "itl_ms", "e2el_ms"])
    expect(Object.keys(result[key] as object)).toEqual(["mean", "std", "p50", "p90", "p95", "p99", "max"]);
  expect((result["ttft_ms"] as { p50: number }).p50).toBeGreaterThan(35);
  for (const key of ["seconds", "output_throughput", "total_token_throughput", "client_cpu"]) expect(result[key]).toBeGreaterThan(0);
  expect(server.seen).toHaveLength(7);
  expect(String(server.seen[0]!.body["prompt"]).split(" ")).toHaveLength(5);
});

test("every option reaches the server", async () => {
  const more = ["--endpoint", "chat", "--model", "mine", "--api-key", "secret", "--extra-body", '{"cache_prompt":false}', "--seed", "3"];
  await json("--requests", "1", "--shared-tokens", "2", ...more);
  expect(server.seen).toMatchObject([
    { path: "/v1/chat/completions", key: "Bearer secret", body: { model: "mine", cache_prompt: false, max_tokens: 64 } },
  ]);
  await json("--requests", "2", "--vocabulary", "50", "--prompt-tokens", "4");
  expect(server.seen[1]!.body["prompt"]).toHaveLength(4);
  const text = join(frugal.folder, "text.txt");
  writeFileSync(text, "abcd".repeat(100));
  await json("--requests", "1", "--text", text, "--prompt-tokens", "2");
  expect(server.seen.at(-1)!.body["prompt"]).toBe("abcdabcd");
  const trace = join(frugal.folder, "trace.csv");
  writeFileSync(trace, "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.0,374,44\n2023-11-16 18:15:48.0,396,109\n");
  const { seconds } = await json("--trace", trace, "--trace-scale", "0.1", "--length-scale", "0.02");
  expect(server.seen.slice(-2).map(({ body }) => body["max_tokens"])).toEqual([1, 2]);
  expect(seconds).toBeGreaterThan(0.2);
  const cancelled = await json("--requests", "4", "--cancel-rate", "1", "--cancel-delay", "60", "--rate", "100", "--burstiness", "2");
  expect(cancelled).toMatchObject({ cancelled: 4, completed: 0 });
});

test("a table for people", async () => {
  const { code, stdout } = await bench("--requests", "2", "--output-tokens", "3");
  expect(code).toBe(0);
  expect(stdout).toContain("2 requests completed, 0 failed, 0 cancelled");
  expect(stdout).toMatch(/^time to first token +\d/m);
});

test("ctrl-C prints what there is", async () => {
  server.script = { first: 30, gap: 5 };
  const { code, stdout } = await frugal.run(
    ["bench", "serve", server.url, "--requests", "500", "--concurrency", "1", "--output-tokens", "2", "--json"],
    {
      whileRunning: (kill) => void setTimeout(() => kill("SIGINT"), 1500),
    },
  );
  expect(code).toBe(1);
  const result = JSON.parse(stdout) as Record<string, number>;
  expect(result).toMatchObject({ interrupted: true });
  expect(result["completed"]).toBeGreaterThan(0);
  expect(result["completed"]).toBeLessThan(100);
});

test("a server that refuses everything is a failure that says why", async () => {
  server.script = { first: 0, gap: 0, fault: "status" };
  const { code, stdout, stderr } = await bench("--requests", "2", "--json");
  expect([code, stderr]).toEqual([1, "frugal: bench serve: no request succeeded; the first failed with: 429 too many\n"]);
  expect(JSON.parse(stdout)).toMatchObject({ failed: 2, errors: { "429 too many": 2 } });
});

test.each([
  [["bench", "serve"], 2, "URL is missing"],
  [["bench", "serve", "here"], 1, "is no address"],
  [["bench", "serve", "http://127.0.0.1:2"], 1, "cannot be reached (ECONNREFUSED); start the server"],
  [["bench", "serve", "http://127.0.0.1:2", "--threads", "2"], 2, "is the server's business"],
  [["bench", "serve", "http://127.0.0.1:2", "--goodput", "ttf:1"], 2, "Did you mean ttft?"],
  [["bench", "serve", "http://127.0.0.1:2", "--goodput", "ttft"], 2, "give milliseconds"],
  [["bench", "serve", "http://127.0.0.1:2", "--burstiness", "2"], 2, "is of --rate"],
  [["bench", "serve", "http://127.0.0.1:2", "--length-scale", "2"], 2, "is of a trace"],
  [["bench", "serve", "http://127.0.0.1:2", "--trace", "nowhere.csv"], 1, "nowhere.csv: cannot open it"],
  [["bench", "serve", "http://127.0.0.1:2", "--trace", "t", "--rate", "1"], 2, "is what the trace says"],
  [["bench", "serve", "http://127.0.0.1:2", "--rate", "0"], 2, "give a number above 0"],
  [["bench", "serve", "http://127.0.0.1:2", "--cancel-rate", "2"], 2, "give a share from 0 to 1"],
  [["bench", "serve", "http://127.0.0.1:2", "--cancel-delay", "2"], 2, "is of --cancel-rate"],
  [["bench", "serve", "http://127.0.0.1:2", "--extra-body", "[]"], 2, "give a JSON object"],
  [["bench", "serve", "http://127.0.0.1:2", "--vocabulary", "9", "--endpoint", "chat"], 2, "a conversation has no ids"],
  [["bench", "serve", "http://127.0.0.1:2", "--vocabulary", "9", "--text", "x"], 2, "give one of them"],
  [["bench", "serve", "http://127.0.0.1:2", "--requets", "9"], 2, "Did you mean --requests?"],
])("%j fails with a message", async (args, wanted, message) => {
  const { code, stderr } = await frugal.run(args);
  expect([code, stderr.trimEnd().split("\n").length]).toEqual([wanted, 1]);
  expect(stderr).toContain(message);
});

test("help, by two words and by one", async () => {
  const [asked, plain] = await Promise.all([frugal.run(["bench", "serve", "--help"]), frugal.run(["help", "bench", "serve"])]);
  expect(asked.stdout).toContain("--goodput");
  expect(plain.stdout).toBe(asked.stdout);
  expect((await frugal.run(["bench", "--help"])).stdout).toContain("frugal bench MODEL");
});
