/** frugal serve as a process: what it says at its start, what it refuses to start with, and how signals end it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CommandLine, compileCommandLine, type Finished } from "../../testing/command-line.ts";
import { stories } from "../../testing/serving.ts";

let frugal: CommandLine;
beforeAll(() => {
  frugal = compileCommandLine();
}, 120_000);
afterAll(() => frugal.remove());

interface Started {
  readonly url: string;
  readonly port: number;
  kill(signal: NodeJS.Signals): void;
  readonly finished: Promise<Finished>;
}

function start(...args: string[]): Promise<Started> {
  return new Promise((resolve, reject) => {
    let begun = false;
    const finished = frugal.run(
      [
        "serve",
        stories,
        "--json",
        "--threads",
        "1",
        "--served-name",
        "stories",
        ...(args.includes("--port") ? [] : ["--port", "0"]),
        ...args,
      ],
      {
        onOutput(stdout, kill) {
          if (begun || !stdout.endsWith("\n")) return;
          begun = true;
          const { url, port } = JSON.parse(stdout) as { url: string; port: number };
          resolve({ url, port, kill, finished });
        },
      },
    );
    finished.then((end) => reject(new Error(`ended early: ${end.stderr}`)), reject);
  });
}

const post = (url: string, body: object): Promise<Response> =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "Once upon a time", temperature: 0, ...body }),
  });
const long = { max_tokens: 400, ignore_eos: true };

describe("at its start", () => {
  test("says what memory it holds and where it listens, then answers", async () => {
    const { url, kill, finished } = await start("--cache-tokens", "1024");
    expect((await post(url, { max_tokens: 2 })).status).toBe(200);
    kill("SIGTERM");
    const { code, stderr } = await finished;
    expect(code).toBe(0);
    expect(stderr).toMatch(/memory: .* MB, of .* GB that are left/);
    expect(stderr).toMatch(/keys and values +[\d.]+ MB, 2.3 kB a token/);
    expect(stderr).toMatch(/\n +256 +4\n +512 +2\n/);
    expect(stderr).toContain(`serving stories at ${url}`);
  });

  test.each([
    ["less memory than it needs", ["--memory", "1MB"], 1, /may use 1 MB; give more memory|may use 1 MB/],
    ["an adapter without a name", ["--adapter", "adapters/polite"], 2, /give a name and a path/],
    ["an adapter that is not there", ["--adapter", "polite=/nowhere"], 1, /nowhere/],
    ["an address that is not this machine's", ["--host", "192.0.2.1"], 1, /cannot listen on 192.0.2.1/],
  ])("refuses %s", async (_, args, expected, message) => {
    const { code, stdout, stderr } = await frugal.run(["serve", stories, "--port", "0", ...args]);
    expect([code, stdout]).toEqual([expected, ""]);
    expect(stderr).toMatch(message);
  });

  test("refuses a port that is taken", async () => {
    const first = await start();
    const { code, stderr } = await frugal.run(["serve", stories, "--port", String(first.port)]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("another process does, so take another port")]);
    first.kill("SIGTERM");
    expect((await first.finished).code).toBe(0);
  });
});

describe("a signal", () => {
  test("lets running texts finish, refuses new ones, and ends with 0", async () => {
    const { url, kill, finished } = await start();
    const running = await post(url, { ...long, stream: true });
    const text = running.text();
    kill("SIGTERM");
    await expect.poll(async () => (await post(url, { max_tokens: 1 })).status, { timeout: 2000 }).toBe(503);
    expect((await fetch(`${url}/ready`)).status).toBe(503);
    expect(await text).toMatch(/"finish_reason":"length".*data: \[DONE\]\n\n$/s);
    expect((await finished).code).toBe(0);
  });

  test("ends texts that outlast the grace, with an error event", async () => {
    const { url, kill, finished } = await start("--grace", "0.05");
    const running = await post(url, { ...long, n: 4, stream: true });
    kill("SIGINT");
    expect(await running.text()).toMatch(/data: \{"error":\{"message":"server: shut down before/);
    expect((await finished).code).toBe(0);
  });

  test("that comes twice ends at once", async () => {
    const { url, kill, finished } = await start();
    const running = await post(url, { ...long, n: 16, stream: true });
    kill("SIGTERM");
    await expect.poll(async () => (await fetch(`${url}/ready`)).status, { timeout: 2000 }).toBe(503);
    kill("SIGTERM");
    await expect(running.text()).rejects.toThrow();
    expect((await finished).code).toBe(1);
  });

  test("that kills leaves the port free; clients see their streams break", async () => {
    const { url, port, kill, finished } = await start();
    const running = await post(url, { ...long, n: 16, stream: true });
    kill("SIGKILL");
    await expect(running.text()).rejects.toThrow();
    await finished;
    const again = await start("--port", String(port)).catch((error: unknown) => error);
    expect(again).toMatchObject({ port });
    expect((await post(url, { max_tokens: 2 })).status).toBe(200);
    (again as Started).kill("SIGTERM");
    expect((await (again as Started).finished).code).toBe(0);
  });
});
