import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contentHash, gitHash, type HubServer, serveHub } from "../../testing/servers/hub.ts";
import { FrugalError } from "../tensor/error.ts";
import { kindOf } from "./files.ts";
import { pull, type PullOptions, type PullProgress } from "./hub.ts";
import { chooseFiles, parseHubReference } from "./hub/reference.ts";

const weights = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 31) ^ (i >> 8));
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const files = [
  { path: "README.md", bytes: text("read me") },
  { path: "config.json", bytes: text("{}") },
  { path: "tokenizer.json", bytes: text('{"model": {}}') },
  { path: "1_Pooling/config.json", bytes: text("{}") },
  { path: "model.safetensors", bytes: weights, large: true },
  { path: "small.gguf", bytes: text("GGUF small") },
  { path: "big-00001-of-00002.gguf", bytes: weights.slice(5), large: true },
  { path: "big-00002-of-00002.gguf", bytes: weights.slice(9), large: true },
];

let hub: HubServer;
let cacheDirectory: string;
beforeEach(async () => {
  hub = await serveHub("someone/model", files);
  cacheDirectory = await mkdtemp(join(tmpdir(), "frugal-hub-"));
});
afterEach(async () => {
  await hub.close();
  await rm(cacheDirectory, { recursive: true });
});

const fetchIt = (name: string, options: PullOptions = {}): ReturnType<typeof pull> =>
  pull(name, { cacheDirectory, endpoint: hub.endpoint, retryDelay: 5, ...options });
const failure = async (work: Promise<unknown>): Promise<FrugalError> => {
  const error: unknown = await work.catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(FrugalError);
  return error as FrugalError;
};
const storage = (): (string | undefined)[] =>
  hub.seen.filter(({ kind, range }) => kind === "storage" && range !== "bytes=0-0").map(({ range }) => range);
/** Lets `fault` meet the first `times` downloads of content. */
const failing = (times: number, fault: ReturnType<HubServer["fault"]>): void => {
  let left = times;
  hub.fault = ({ kind, range }) => (kind === "storage" && range !== "bytes=0-0" && left-- > 0 ? fault : undefined);
};

describe("pull", () => {
  it("fetches a directory, once", async () => {
    const progress: PullProgress[] = [];
    const pulled = await fetchIt("hf:someone/model", { onProgress: (p) => progress.push(p) });
    expect((await readdir(pulled.path, { recursive: true })).sort()).toEqual([
      "1_Pooling",
      "1_Pooling/config.json",
      "config.json",
      "model.safetensors",
      "tokenizer.json",
    ]);
    expect(contentHash(await readFile(join(pulled.path, "model.safetensors")))).toBe(contentHash(weights));
    expect(pulled.hashes["model.safetensors"]).toBe(`sha256:${contentHash(weights)}`);
    expect(pulled.hashes["config.json"]).toBe(`git-sha1:${gitHash(text("{}"))}`);
    expect(pulled.bytes).toBe(300_000 + 2 + 13 + 2);
    expect(pulled.commit).toBe(hub.commit);
    expect(progress.at(-1)).toEqual({ file: "model.safetensors", received: pulled.bytes, total: pulled.bytes });
    expect(progress.every(({ received }, i) => received >= (progress[i - 1]?.received ?? 0))).toBe(true);

    const before = hub.seen.length;
    expect(await fetchIt("hf:someone/model")).toEqual(pulled);
    expect(hub.seen.length, "the cache answers without the network").toBe(before);
    await fetchIt("hf:someone/model", { refresh: true });
    expect(storage().length, "refreshing asks for the listing only").toBe(1);
    await fetchIt("hf:someone/model", { revision: hub.commit });
    expect(storage().length).toBe(1);
  });

  it("fetches a named file, and all parts of a split one", async () => {
    const small = await fetchIt("hf:someone/model:small.gguf");
    expect(await readFile(small.path, "utf8")).toBe("GGUF small");
    const big = await fetchIt("hf:someone/model:big-00002-of-00002.gguf");
    expect(big.path.endsWith("big-00001-of-00002.gguf")).toBe(true);
    expect(Object.keys(big.hashes)).toEqual(["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"]);
  });

  it("sends the token to the hub", async () => {
    await fetchIt("hf:someone/model:small.gguf", { token: "hf_secret" });
    expect(new Set(hub.seen.map(({ authorization }) => authorization))).toEqual(new Set(["Bearer hf_secret"]));
    expect((await failure(fetchIt("hf:someone/model", { token: "secret" }))).message).not.toContain("secret");
  });

  it("goes on after a broken connection, from where it broke", async () => {
    failing(3, { kind: "cut", after: 50_000 });
    const pulled = await fetchIt("hf:someone/model", { retries: 1 });
    expect(contentHash(await readFile(join(pulled.path, "model.safetensors")))).toBe(contentHash(weights));
    expect(storage().length).toBe(4);
    const starts = storage().map((range) => Number(/bytes=(\d+)-/.exec(range ?? "bytes=0-")![1]));
    expect(starts[0]).toBe(0);
    expect(starts[3]).toBeGreaterThan(100_000);
  });

  it("goes on in a later call", async () => {
    failing(1, { kind: "cut", after: 100_000 });
    const error = await failure(fetchIt("hf:someone/model", { retries: 0 }));
    expect(error.code).toBe("FRUGAL_NETWORK");
    expect(error.message).toMatch(/^hub: someone\/model\/model\.safetensors: .*what has come is kept$/);
    await fetchIt("hf:someone/model");
    expect(storage()[1]).toMatch(/^bytes=[1-9]\d+-299999$/);
  });

  it("starts anew where the bytes kept are wrong", async () => {
    const blobs = join(cacheDirectory, "models--someone--model", "blobs");
    await fetchIt("hf:someone/model:small.gguf");
    await writeFile(join(blobs, `${contentHash(weights)}.incomplete`), new Uint8Array(1000));
    const pulled = await fetchIt("hf:someone/model");
    expect(contentHash(await readFile(join(pulled.path, "model.safetensors")))).toBe(contentHash(weights));
    expect(storage()).toEqual(["bytes=1000-299999", undefined]);
  });

  it("refuses content with another hash", async () => {
    failing(9, { kind: "other bytes" });
    const error = await failure(fetchIt("hf:someone/model"));
    expect(error.code).toBe("FRUGAL_BAD_FILE");
    expect(error.fields["expected"]).toBe(contentHash(weights));
    expect(await readdir(join(cacheDirectory, "models--someone--model", "blobs")), "nothing wrong is kept").not.toContain(
      contentHash(weights),
    );
  });

  it("gives up a connection that stalls, and goes on", async () => {
    failing(1, { kind: "stall", after: 70_000 });
    await fetchIt("hf:someone/model", { stallTimeout: 150 });
    expect(storage()[1]).toMatch(/^bytes=[1-9]/);
    hub.fault = ({ kind }) => (kind === "storage" ? { kind: "stall", after: 0 } : undefined);
    const error = await failure(fetchIt("hf:someone/model:big-00001-of-00002.gguf", { stallTimeout: 50, retries: 1 }));
    expect(error.message).toMatch(/no byte came for 50 ms/);
  });

  it("notices a server that sends the whole for the rest", async () => {
    failing(1, { kind: "cut", after: 100_000 });
    await failure(fetchIt("hf:someone/model", { retries: 0 }));
    failing(1, { kind: "ignore range" });
    const pulled = await fetchIt("hf:someone/model");
    expect(contentHash(await readFile(join(pulled.path, "model.safetensors")))).toBe(contentHash(weights));
  });

  it.each([
    [401, "FRUGAL_NETWORK", /pass a token/, 1],
    [403, "FRUGAL_NETWORK", /accept its terms/, 1],
    [404, "FRUGAL_NOT_FOUND", /check the owner/, 1],
    [429, "FRUGAL_NETWORK", /too many requests/, 3],
    [503, "FRUGAL_NETWORK", /tried 3 times/, 3],
  ] as const)("status %i", async (status, code, message, tries) => {
    hub.fault = () => ({ kind: "status", status });
    const error = await failure(fetchIt("hf:someone/model", { retries: 2 }));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.fields["status"]).toBe(status);
    expect(hub.seen.length).toBe(tries);
  });

  it("waits as long as the server asks", async () => {
    let refused = false;
    hub.fault = () => (refused ? undefined : ((refused = true), { kind: "status", status: 429, headers: { "retry-after": "0.2" } }));
    const start = performance.now();
    await fetchIt("hf:someone/model:small.gguf");
    expect(performance.now() - start).toBeGreaterThan(190);
  });

  it("stops soon after its signal, also while it waits", async () => {
    const stopped = async (options: PullOptions): Promise<number> => {
      const controller = new AbortController();
      let at = 0;
      setTimeout(() => ((at = performance.now()), controller.abort(new Error("stop"))), 100);
      await expect(fetchIt("hf:someone/model", { ...options, signal: controller.signal })).rejects.toThrow("stop");
      return performance.now() - at;
    };
    failing(1, { kind: "stall", after: 1000 });
    expect(await stopped({})).toBeLessThan(500);
    hub.fault = () => ({ kind: "status", status: 503 });
    expect(await stopped({ retryDelay: 30_000 })).toBeLessThan(500);
    await expect(fetchIt("hf:someone/model", { signal: AbortSignal.abort(new Error("before")) })).rejects.toThrow("before");
  });

  it("says where nobody answers", async () => {
    const error = await failure(fetchIt("hf:someone/model", { endpoint: "http://127.0.0.1:1", retries: 0 }));
    expect(error.code).toBe("FRUGAL_NETWORK");
  });

  it("two at once do no harm", async () => {
    failing(1, { kind: "cut", after: 120_000 });
    const [a, b] = await Promise.all([fetchIt("hf:someone/model"), fetchIt("hf:someone/model")]);
    expect(a).toEqual(b);
    expect(contentHash(await readFile(join(a.path, "model.safetensors")))).toBe(contentHash(weights));
    expect((await readdir(join(cacheDirectory, "models--someone--model", "blobs"))).filter((name) => name.includes("."))).toEqual([]);
  });

  it("names the nearest file", async () => {
    const error = await failure(fetchIt("hf:someone/model:smal.gguf"));
    expect(error.code).toBe("FRUGAL_NOT_FOUND");
    expect(error.message).toMatch(/has no file smal\.gguf; the nearest is small\.gguf/);
  });

  it("fetches a damaged cache entry again", async () => {
    const pulled = await fetchIt("hf:someone/model:small.gguf");
    await rm(pulled.path);
    expect(await kindOf(pulled.path)).toBe("missing");
    await writeFile(join(cacheDirectory, "models--someone--model", "frugal", `${hub.commit}.json`), "{");
    expect(await readFile((await fetchIt("hf:someone/model:small.gguf")).path, "utf8")).toBe("GGUF small");
  });
});

describe("names on the hub", () => {
  it("are parsed or refused", () => {
    expect(parseHubReference("hf:a/b")).toEqual({ repository: "a/b" });
    expect(parseHubReference("hf:a/b:sub/c.gguf")).toEqual({ repository: "a/b", file: "sub/c.gguf" });
    for (const text of ["hf:a", "hf:a/b/c", "hf:../b", "a/b", "hf:a/b:", "hf:a/b:../c", "hf:a/b:/etc/passwd", "hf:a/b:x\\y", "hf:a/b:x\0y"])
      expect(() => parseHubReference(text), text).toThrow(FrugalError);
  });

  it("choose what a model needs", () => {
    const choose = (...paths: string[]): string[] =>
      chooseFiles(
        { repository: "a/b" },
        paths.map((path) => ({ path, byteLength: 1, hash: "" })),
      ).map(({ path }) => path);
    const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"];
    expect(choose("config.json", ...shards, "pytorch_model.bin", "x.md")).toEqual(["config.json", ...shards]);
    expect(choose("model.safetensors", ...shards)).toEqual(["model.safetensors"]);
    expect(choose("only.gguf", "config.json")).toEqual(["only.gguf"]);
    expect(() => choose("a.gguf", "b.gguf")).toThrow(/name one of its GGUF files: hf:a\/b:a\.gguf, hf:a\/b:b\.gguf/);
    expect(() => choose("config.json", "pytorch_model.bin")).toThrow(/use a repository with safetensors or GGUF/);
  });
});
