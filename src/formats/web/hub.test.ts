import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { contentHash, type HubServer, serveHub } from "../../../testing/servers/hub.ts";
import { FrugalError } from "../../tensor/error.ts";
import { hubUrl, pullStored, type PullStoredOptions } from "./hub.ts";

const weights = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 31) ^ (i >> 8));
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

let hub: HubServer;
beforeEach(async () => {
  hub = await serveHub("someone/model", [
    { path: "README.md", bytes: text("read me") },
    { path: "config.json", bytes: text("{}") },
    { path: "model.safetensors", bytes: weights, large: true },
    { path: "one two.gguf", bytes: text("GGUF") },
  ]);
});
afterEach(() => hub.close());

// In Node there is no OPFS: what a browser without it does.
const pullIt = (name: string, options: PullStoredOptions = {}): ReturnType<typeof pullStored> =>
  pullStored(name, { endpoint: hub.endpoint, store: "none", retryDelay: 2, ...options });
const failure = async (work: Promise<unknown>): Promise<FrugalError> => {
  const error: unknown = await work.catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(FrugalError);
  return error as FrugalError;
};

describe("pullStored", () => {
  it("gives the files of a model, checked, with progress over all", async () => {
    const progress: number[] = [];
    const model = await pullIt("hf:someone/model", { onProgress: ({ received }) => progress.push(received) });
    expect([...model.files.keys()]).toEqual(["config.json", "model.safetensors"]);
    const source = model.files.get("model.safetensors")!;
    expect(source.name).toBe("someone/model/model.safetensors");
    expect(contentHash(await source.read(0, source.byteLength))).toBe(contentHash(weights));
    expect(model).toMatchObject({ name: "someone/model", bytes: 200_002, commit: hub.commit, store: "none" });
    expect(model.hashes["model.safetensors"]).toBe(`sha256:${contentHash(weights)}`);
    expect(model.hashes["config.json"]).toMatch(/^git-sha1:/);
    expect(progress.at(-1)).toBe(200_002);
    await model.close();
    const spaced = await pullIt("hf:someone/model:one two.gguf", { revision: hub.commit });
    expect([...spaced.files.keys()]).toEqual(["one two.gguf"]);
  });

  it("refuses content with another hash, small or large", async () => {
    hub.fault = ({ path }) => (path === "model.safetensors" ? { kind: "other bytes" } : undefined);
    const error = await failure(pullIt("hf:someone/model"));
    expect(error.code).toBe("FRUGAL_BAD_FILE");
    expect(error.fields["expected"]).toBe(contentHash(weights));
    hub.fault = ({ path }) => (path === "config.json" ? { kind: "other bytes" } : undefined);
    expect((await failure(pullIt("hf:someone/model"))).message).toMatch(/config\.json: what came has the hash [0-9a-f]{40}, not/);
  });

  it.each([
    [401, "FRUGAL_NETWORK", /pass a token/, 1],
    [403, "FRUGAL_NETWORK", /accept its terms/, 1],
    [404, "FRUGAL_NOT_FOUND", /check the owner/, 1],
    [503, "FRUGAL_NETWORK", /tried 3 times/, 3],
  ] as const)("status %i", async (status, code, message, tries) => {
    for (const kind of ["info", "storage"]) {
      hub.seen.length = 0;
      hub.fault = (request) => (request.kind === kind ? { kind: "status", status } : undefined);
      const error = await failure(pullIt("hf:someone/model", { retries: 2 }));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(message);
      expect(hub.seen.filter((request) => request.kind === kind).length).toBe(tries);
    }
  });

  it("checks what it is given", async () => {
    expect((await failure(pullIt("someone/model"))).code).toBe("FRUGAL_BAD_ARGUMENT");
    expect((await failure(pullIt("hf:someone/model", { revision: "../x" }))).message).toMatch(/is not a revision/);
    expect((await failure(pullIt("hf:someone/model", { token: "secret" }))).message).not.toContain("secret");
    expect((await failure(pullIt("hf:someone/model", { stor: "opfs" } as PullStoredOptions))).message).toMatch(/did you mean store/);
    expect((await failure(pullIt("hf:someone/model", { endpoint: "ftp://x" }))).code).toBe("FRUGAL_BAD_ARGUMENT");
    expect((await failure(pullIt("hf:someone/model", { retries: -1 }))).code).toBe("FRUGAL_BAD_ARGUMENT");
    expect((await failure(pullIt("hf:someone/model:config.jso"))).message).toMatch(/the nearest is config\.json/);
    await expect(pullIt("hf:someone/model", { signal: AbortSignal.abort(new Error("stop")) })).rejects.toThrow("stop");
    expect(hubUrl("a/b", "c d/e#f.gguf")).toBe("https://huggingface.co/a/b/resolve/main/c%20d/e%23f.gguf");
    expect(() => hubUrl("a/b", "../c")).toThrow(FrugalError);
    expect(() => hubUrl("../b", "c")).toThrow(FrugalError);
  });

  it("says so where the browser keeps nothing", async () => {
    const model = await pullStored("hf:someone/model", { endpoint: hub.endpoint });
    expect(model.warning).toMatch(/downloads are not kept/);
    expect(model.store).toBe("none");
  });
});

describe("a hostile hub", () => {
  const commit = "0123456789".repeat(4);
  const entry = { type: "file", path: "a.gguf", size: 4, oid: commit };
  /** Serves this as the list of files; answers the paths that were asked for. */
  const against = async (tree: unknown, link?: (origin: string) => string, sha: unknown = commit): Promise<FrugalError> => {
    const server = createServer((request, response) => {
      const origin = `http://${request.headers.host}`;
      const isTree = request.url!.includes("/tree/");
      response.writeHead(200, { ...(isTree && link !== undefined && { link: link(origin) }) });
      response.end(isTree ? (typeof tree === "string" ? tree : JSON.stringify(tree)) : JSON.stringify({ sha }));
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    try {
      const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      return await failure(pullStored("hf:someone/model", { endpoint, store: "none", retries: 0, token: "hf_secret" }));
    } finally {
      server.close();
      server.closeAllConnections();
    }
  };

  it.each([
    ["paths that leave", [{ ...entry, path: "../a.gguf" }], "FRUGAL_NOT_FOUND"],
    ["no list", { files: [] }, "FRUGAL_NETWORK"],
    ["no JSON", "<html>log in</html>", "FRUGAL_NETWORK"],
    ["sizes that are none", [{ ...entry, size: -1 }], "FRUGAL_NETWORK"],
    ["sizes beyond counting", [{ ...entry, size: 1e300 }], "FRUGAL_NETWORK"],
    ["hashes that are none", [{ ...entry, oid: "../../x" }], "FRUGAL_NETWORK"],
    ["entries that are none", [null, 5, "x", { type: "file" }, { type: "file", path: 5 }], "FRUGAL_NOT_FOUND"],
    ["more than fits", [{ ...entry, size: 2 ** 50 }], "FRUGAL_NO_SPACE"],
  ])("%s", async (_, tree, code) => {
    expect((await against(tree)).code).toBe(code);
  });

  it("cannot lead the token elsewhere, nor keep us asking", async () => {
    expect((await against([entry], () => '<https://evil.example/next>; rel="next"')).message).toMatch(/which is elsewhere/);
    expect((await against([entry], () => '<http://[>; rel="next"')).message).toMatch(/which is elsewhere/);
    expect((await against([], (origin) => `<${origin}/tree/more>; rel="next"`)).message).toMatch(/sends empty pages/);
    expect((await against([entry], undefined, "main")).message).toMatch(/names the commit "main"/);
  });
});
