/** What goes wrong on the way between client and server: each fault has one defined end, and nobody else notices. */
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { type ServedModel, serveStories } from "../../testing/serving.ts";
import type { GenerationReport, RequestReport } from "./context.ts";
import type { ServeOptions } from "./settings.ts";

let shared: Watched | undefined;
let own: ServedModel | undefined;
afterEach(async () => {
  await own?.[Symbol.asyncDispose]();
  own = undefined;
});
afterAll(() => shared?.[Symbol.asyncDispose]());

const path = "/v1/completions";
/** Longer than any test waits. */
const long = { prompt: "Once upon a time", max_tokens: 400, ignore_eos: true, temperature: 0 };
const short = { prompt: "Once", max_tokens: 2, temperature: 0 };

interface Watched extends ServedModel {
  readonly texts: GenerationReport[];
  readonly requests: RequestReport[];
  /** Models of requests whose texts have begun. */
  readonly started: string[];
}

async function watch(served: ServedModel): Promise<Watched> {
  const watched: Watched = { ...served, texts: [], requests: [], started: [] };
  served.server.observe({
    generationStarted: (model) => watched.started.push(model),
    generationEnded: (report) => watched.texts.push(report),
    requestEnded: (report) => watched.requests.push(report),
  });
  return watched;
}

/** A server of the test's own where it has options, else one for all. */
async function start(options?: ServeOptions, loading?: Parameters<typeof serveStories>[1]): Promise<Watched> {
  if (options !== undefined) return watch((own = await serveStories(options, loading)));
  shared ??= await watch(await serveStories());
  await until(() => shared!.server.active() === 0);
  shared.texts.length = shared.requests.length = shared.started.length = 0;
  return shared;
}

async function until(condition: () => boolean, milliseconds = 5000): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!condition()) {
    if (performance.now() > end) throw new Error("it did not come to that");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Bytes as they are, on a connection of their own. */
function raw(port: number, bytes: string): { readonly socket: Socket; readonly answer: Promise<string>; text(): string } {
  let text = "";
  const socket = connect(port, "127.0.0.1");
  socket.write(bytes, "latin1");
  const answer = new Promise<string>((resolve) => {
    socket.on("data", (chunk) => (text += chunk.toString("latin1")));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(text));
  });
  return { socket, answer, text: () => text };
}

const request = (body: string, headers = ""): string =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;

describe("a client that leaves", () => {
  test.each([
    ["while it is answered", false],
    ["amid its stream", true],
  ])("%s ends its text, and only its own", async (_, stream) => {
    const { post, texts, server, requests, started, model } = await start();
    const other = post(path, { ...long, max_tokens: 60 });
    const controller = new AbortController();
    const left = post(path, { ...long, stream }, { signal: controller.signal });
    if (stream) await (await left).body!.getReader().read();
    else await until(() => started.length === 2);
    controller.abort();
    await left.catch(() => undefined);
    await until(() => texts.some(({ outcome }) => outcome === "aborted"));
    expect((await other).status).toBe(200);
    await until(() => server.active() === 0);
    expect(requests.map(({ outcome }) => outcome).toSorted()).toEqual(["aborted", "finished"]);
    const { running, waiting } = model.stats();
    expect([running, waiting]).toEqual([0, 0]);
    // The step under way when it left gives its pages back at its end.
    await until(() => Object.values(model.stats().pages).every(({ free, cached, total }) => free + cached === total));
  });

  test("while it waits for its turn is never scheduled", async () => {
    const { post, texts, started } = await start({}, { sequences: 1 });
    const first = post(path, { ...long, max_tokens: 300 });
    await until(() => started.length === 1);
    const controller = new AbortController();
    const left = post(path, short, { signal: controller.signal });
    await until(() => started.length === 2);
    controller.abort();
    await left.catch(() => undefined);
    await until(() => texts.length === 1);
    expect(texts[0]).toMatchObject({ outcome: "aborted", generatedTokens: 0 });
    expect((await first).status).toBe(200);
  });

  test("before its body is complete leaves nothing behind", async () => {
    const { server, requests, texts } = await start();
    const { socket, answer } = raw(server.port, request("x".repeat(100)).slice(0, -50));
    await until(() => server.active() === 1);
    socket.destroy();
    await answer;
    await until(() => server.active() === 0);
    expect(requests.map(({ outcome, status }) => [outcome, status])).toEqual([["aborted", 499]]);
    expect(texts).toEqual([]);
  });
});

test.each([
  ["of a stream", true],
  ["of one large answer", false],
])("a reader %s who reads nothing is given up after the stall time-out; the others go on meanwhile", async (_, stream) => {
  const { server, requests, post } = await start({ stallTimeout: 0.3 });
  // Each text repeats the prompt with its alternatives, 32 MB in all: more than the connection's buffers take.
  const prompt = Array.from({ length: 500 }, (__, i) => 300 + i);
  const body = { prompt, max_tokens: 0, echo: true, logprobs: 20, n: 128, stream };
  const { socket, answer } = raw(server.port, request(JSON.stringify(body)));
  socket.pause();
  expect((await post(path, short)).status).toBe(200);
  await until(() => requests.some(({ outcome }) => outcome === "aborted"), 20_000);
  expect(server.active()).toBe(0);
  socket.destroy();
  await answer;
});

test("a quiet stream gets comments", async () => {
  const { server } = await start({ keepAlive: 0.05 }, { sequences: 1 });
  const first = raw(server.port, request(JSON.stringify({ ...long, stream: true })));
  const second = raw(server.port, request(JSON.stringify({ ...short, stream: true })));
  await until(() => second.text().includes(": still working\n\n"));
  first.socket.destroy();
  await until(() => second.text().includes("[DONE]"));
  second.socket.destroy();
});

describe("a body that is", () => {
  const cases: readonly (readonly [name: string, bytes: string, status: number])[] = [
    ["no JSON", request("{"), 400],
    ["empty", request(""), 400],
    ["a list", request("[]"), 400],
    ["a number", request("1"), 400],
    ["null", request("null"), 400],
    ["10,000 levels deep", request(`{"prompt":${"[".repeat(10_000)}${"]".repeat(10_000)}}`), 400],
    ["no UTF-8", request(JSON.stringify(short)).replace("Once", "On\xff\xfe"), 400],
    ["text/plain", request(JSON.stringify(short)).replace("application/json", "text/plain"), 415],
    ["compressed", request(JSON.stringify(short), "content-encoding: gzip\r\n"), 415],
    ["said to be 50 MB", `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50000000\r\n\r\n{`, 413],
    ["of wrong types", request('{"prompt":{"a":1},"n":"x"}'), 400],
    ["with __proto__", request('{"prompt":"a","__proto__":{"n":2}}'), 400],
    ["with -Infinity", request('{"prompt":"a","temperature":-1e999}'), 400],
  ];
  test.each(cases)("%s is refused with the error object", async (_, bytes, status) => {
    const { server, post, texts } = await start();
    const { socket, answer, text } = raw(server.port, bytes);
    await until(() => text().includes('"error"'));
    socket.destroy();
    await answer;
    expect(text()).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(JSON.parse(/\{.*\}/s.exec(text())![0])).toMatchObject({ error: { type: expect.any(String), message: expect.any(String) } });
    expect(texts).toEqual([]);
    expect((await post(path, short)).status).toBe(200);
  });

  test("50 MB, sent in pieces, is refused when the limit is passed", async () => {
    const { server, post } = await start({ bodyLimit: 100_000 });
    const piece = "x".repeat(60_000);
    const { socket, answer, text } = raw(
      server.port,
      `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`,
    );
    for (let i = 0; i < 4; i++) socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`);
    await until(() => text().includes('"error"'));
    expect(text()).toMatch(/^HTTP\/1.1 413 /);
    socket.destroy();
    await answer;
    expect((await post(path, short)).status).toBe(200);
  });
});

describe("slowloris:", () => {
  test("headers that never end are answered 408 and closed", async () => {
    const { server } = await start({ receiveTimeout: 0.2 });
    const { answer } = raw(server.port, `POST ${path} HTTP/1.1\r\nhost: x\r\n`);
    expect(await answer).toMatch(/^HTTP\/1.1 408 .*took too long/s);
  });

  test("so are bodies", async () => {
    const { server } = await start({ receiveTimeout: 0.2 });
    const { answer } = raw(server.port, request("x".repeat(100)).slice(0, -50));
    expect(await answer).toMatch(/^HTTP\/1.1 408 /);
    await until(() => server.active() === 0);
  });

  test("idle connections are closed", async () => {
    const { server } = await start({ idleTimeout: 0.1, receiveTimeout: 0.3 });
    expect(await raw(server.port, "GET /health HTTP/1.1\r\nhost: x\r\n\r\n").answer).toMatch(/^HTTP\/1.1 200 /);
    await raw(server.port, "").answer;
  });
});

test("what is no HTTP is answered 400", async () => {
  const { server } = await start();
  expect(await raw(server.port, "hello\r\n\r\n").answer).toMatch(/^HTTP\/1.1 400 .*"error"/s);
  expect(await raw(server.port, `GET / HTTP/1.1\r\nhost: x\r\na: ${"b".repeat(20_000)}\r\n\r\n`).answer).toMatch(/^HTTP\/1.1 431 /);
  expect(await raw(server.port, "GET / HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n").answer).toMatch(/^HTTP\/1.1 400 .*"error"/s);
});

describe("shutting down", () => {
  test("is at once where nothing runs", async () => {
    const { server, post } = await start({});
    await (await post(path, short)).text();
    const before = performance.now();
    await server.close();
    expect(performance.now() - before).toBeLessThan(500);
    await expect(post(path, short)).rejects.toThrow();
  });

  test("lets the running ones finish and refuses new ones", async () => {
    const { server, post } = await start({});
    const running = post(path, { ...long, max_tokens: 200 });
    await until(() => server.active() === 1);
    const closed = server.close({ grace: 20 });
    const refused = await post(path, short);
    expect([refused.status, (await fetch(`${server.url}/ready`)).status]).toEqual([503, 503]);
    const answer = (await (await running).json()) as { usage: { completion_tokens: number } };
    expect(answer.usage.completion_tokens).toBe(200);
    await closed;
  });

  test("ends what is left after the grace, with an error event", async () => {
    const { server, texts } = await start({}, { context: 4096 });
    const { text, answer } = raw(server.port, request(JSON.stringify({ ...long, max_tokens: 4000, stream: true })));
    await until(() => text().includes("data: {"));
    await server.close({ grace: 0.05 });
    expect(await answer).toMatch(/data: \{"error":\{"message":"server: shut down before/);
    expect(texts.map(({ outcome }) => outcome)).toEqual(["aborted"]);
  });
});

describe("keys", () => {
  test("are asked for, everywhere but at /health", async () => {
    const { post, url } = await start({ apiKeys: ["one", "two"] });
    const withKey = (authorization: string): Promise<Response> => post(path, short, { headers: { authorization } });
    expect((await post(path, short)).status).toBe(401);
    expect((await withKey("Bearer three")).status).toBe(401);
    expect((await withKey("one")).status).toBe(401);
    expect((await withKey("Bearer one")).status).toBe(200);
    expect((await withKey("bearer two")).status).toBe(200);
    expect((await fetch(`${url}/health`)).status).toBe(200);
    expect((await fetch(`${url}/nowhere`)).status).toBe(401);
  });
});

test("pages of other origins may ask only where they are let", async () => {
  const { url } = await start({ cors: ["https://a.example"] });
  const ask = (origin: string): Promise<Response> => fetch(url + path, { method: "OPTIONS", headers: { origin } });
  expect((await ask("https://a.example")).headers.get("access-control-allow-origin")).toBe("https://a.example");
  expect((await ask("https://b.example")).headers.get("access-control-allow-origin")).toBeNull();
});

test("an unknown address is 404 with the nearest, a wrong method 405", async () => {
  const { url } = await start();
  const unknown = await fetch(`${url}/v1/chat/completion`);
  expect([unknown.status, await unknown.text()]).toEqual([404, expect.stringContaining("did you mean /v1/chat/completions")]);
  const wrong = await fetch(url + path);
  expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
});

test("a request's id is its client's, or new, and never breaks a line", async () => {
  const { url } = await start();
  const id = async (given?: string): Promise<string | null> =>
    (await fetch(`${url}/health`, given === undefined ? {} : { headers: { "x-request-id": given } })).headers.get("x-request-id");
  expect(await id("mine-1")).toBe("mine-1");
  expect(await id("bad id")).toMatch(/^[0-9a-f-]{36}$/);
  expect(await id()).not.toBe(await id());
});

test("a port that is taken is an error that says so", async () => {
  const { server } = await start();
  await expect(serveStories({ port: server.port })).rejects.toThrow(/another process does, so take another port/);
});
