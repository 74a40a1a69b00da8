/** Downloads that a real browser keeps: written in a worker, found again, resumed, shared by tabs, evicted, refused. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { contentHash, serveHub } from "../servers/hub.ts";
import { type FlakyServer, type Misbehaviour, serveFlaky } from "../servers/flaky.ts";
import { describeInChromium, type OpenedPage } from "./chromium.ts";

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const modules = { page: file("pages/store.ts"), worker: file("pages/store-worker.ts") };
const content = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 31) ^ (i >> 8) ^ (i >> 16));
const sha256 = createHash("sha256").update(content).digest("hex");

interface Failure {
  readonly code: string;
  readonly message: string;
  readonly fields: Record<string, unknown>;
}
interface Fetched {
  readonly id: number;
  readonly key: string;
  readonly content: string;
  readonly store: string;
  readonly warning?: string;
  readonly sha256: string;
}

const call = async (page: Page, where: "inPage" | "inWorker", name: string, args: readonly unknown[]): Promise<unknown> => {
  await page.waitForFunction(() => "inWorker" in globalThis);
  return page.evaluate(
    ([place, operation, given]) =>
      (globalThis as unknown as Record<string, (name: string, args: readonly unknown[]) => Promise<unknown>>)[place]!(operation, given),
    [where, name, args] as const,
  );
};
const inside =
  (where: "inPage" | "inWorker") =>
  async <T>(page: Page, name: string, ...args: readonly unknown[]): Promise<T> => {
    const answer = (await call(page, where, name, args)) as { value?: T; error?: Failure };
    if (answer.error !== undefined) throw new Error(`${name}: ${answer.error.code} ${answer.error.message}`);
    return answer.value as T;
  };
const inWorker = inside("inWorker");
const inPage = inside("inPage");
const failureOf = async (page: Page, name: string, ...args: readonly unknown[]): Promise<Failure> => {
  const { error } = (await call(page, "inWorker", name, args)) as { error?: Failure };
  expect(error, "it should fail").toBeDefined();
  return error!;
};
const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, milliseconds));

describeInChromium("stored downloads", (browser) => {
  let server: FlakyServer;
  let url: string;
  beforeEach(async () => {
    server = await serveFlaky(content);
    url = `${server.origin}/model.gguf`;
  });
  afterEach(() => server.close());

  // A profile of its own for each test: nothing is stored.
  const openPage = async (expectedErrors: readonly RegExp[] = []): Promise<OpenedPage> => {
    const profile = await browser.context();
    return profile.page({ modules, expectedErrors });
  };
  const kept = (page: Page): Promise<number> => inPage<number>(page, "received").catch(() => 0);
  const ranges = (): (string | undefined)[] => server.seen.map(({ headers }) => headers.range);
  const slowly = (count = 1): void =>
    void (server.behave = (_: IncomingMessage, n: number): Misbehaviour => (n <= count ? { slow: 80 } : {}));

  test("come once, are found after a reload and without a network, and are deleted when asked", async () => {
    const { page } = await openPage();
    const fetched = await inWorker<Fetched>(page, "fetch", `${url}#part`, { sha256 });
    expect(fetched).toMatchObject({ content: sha256, sha256, key: sha256, store: "opfs", byteLength: content.length });
    expect(await inWorker(page, "progress")).toContainEqual({ received: content.length, total: content.length });
    await page.reload();
    await inWorker(page, "names");
    await page.context().setOffline(true);
    const again = await inWorker<Fetched>(page, "fetch", url, { sha256 });
    expect(again.content).toBe(sha256);
    expect(server.seen.length).toBe(1);

    const [stored] = await inPage<{ lastUsed: number }[]>(page, "storedFiles");
    expect(stored).toMatchObject({ key: sha256, url, bytes: content.length, total: content.length, complete: true, sha256 });
    expect(Date.now() - stored!.lastUsed).toBeLessThan(60_000);
    const report = await inPage<{ usage: number; quota: number }>(page, "storageReport");
    expect(report).toMatchObject({ store: "opfs", stored: content.length });
    expect(report.quota).toBeGreaterThan(report.usage);
    expect(typeof (await inPage(page, "requestPersistence"))).toBe("boolean");
    expect(await inWorker(page, "requestPersistence")).toBe(await inPage(page, "requestPersistence"));

    expect((await failureOf(page, "deleteStoredFile", sha256)).code, "while it is open").toBe("FRUGAL_BUSY");
    await inWorker(page, "close", again.id);
    expect(await inPage(page, "deleteStoredFile", sha256)).toBe(true);
    expect(await inPage(page, "deleteStoredFile", sha256)).toBe(false);
    expect(await inWorker(page, "names")).toEqual([]);
    expect((await failureOf(page, "deleteStoredFile", "../x")).code).toBe("FRUGAL_BAD_ARGUMENT");
  });

  test("go on at the byte where a closed tab stopped", async () => {
    const { page, tab } = await openPage();
    const second = await tab();
    slowly();
    void inWorker(page, "fetch", url).catch(() => undefined);
    await expect.poll(() => kept(second), { timeout: 15_000 }).toBeGreaterThan(0);
    const before = await kept(second);
    await page.close();
    const fetched = await inWorker<Fetched>(second, "fetch", url);
    expect(fetched.content).toBe(sha256);
    expect(ranges().length).toBe(2);
    expect(Number(/bytes=(\d+)-/.exec(ranges()[1]!)![1])).toBeGreaterThanOrEqual(before);
  });
  test("go on after broken connections and after an abort, which ends within 100 ms", async () => {
    const { page } = await openPage([/ERR_/]);
    server.behave = (_, count) => (count <= 2 ? { cut: 800_000, slow: 30 } : { stall: 800_000 });
    const fetching = failureOf(page, "fetch", url);
    await expect.poll(() => ranges().length).toBe(3);
    await sleep(300);
    const start = performance.now();
    await inWorker(page, "abort");
    expect((await fetching).message).toContain("stop");
    expect(performance.now() - start).toBeLessThan(100);
    server.behave = () => ({});
    expect((await inWorker<Fetched>(page, "fetch", url)).content).toBe(sha256);
    const starts = ranges().map((range) => Number(/bytes=(\d+)-/.exec(range!)![1]));
    expect(starts.length).toBe(4);
    expect(starts.every((at, i) => i === 0 || at > starts[i - 1]!)).toBe(true);
    // Another origin would have to permit If-Range, so the answer's version is compared instead.
    expect(server.seen.map(({ headers }) => headers["if-range"])).toEqual([undefined, undefined, undefined, undefined]);
    expect(server.seen.map(({ method }) => method)).not.toContain("OPTIONS");
  });

  test("start anew where the file changed", async () => {
    const { page } = await openPage([/ERR_/]);
    server.behave = () => ({ cut: 800_000 });
    await failureOf(page, "fetch", url, { retries: 0 });
    server.bytes = content.map((byte) => byte ^ 1);
    server.etag = '"2"';
    server.behave = () => ({});
    const fetched = await inWorker<Fetched>(page, "fetch", url);
    expect(fetched.content).toBe(createHash("sha256").update(server.bytes).digest("hex"));
    expect(ranges().at(-1)).toBe("bytes=0-");
  });

  test("with a wrong hash are removed", async () => {
    const { page } = await openPage();
    const error = await failureOf(page, "fetch", url, { sha256: "ab".repeat(32) });
    expect(error.code).toBe("FRUGAL_BAD_FILE");
    expect(error.fields).toEqual({ expected: "ab".repeat(32), hash: sha256 });
    expect(await inWorker(page, "names")).toEqual([]);
  });

  test("of two tabs are fetched by one; when it dies, the other goes on", async () => {
    const { page, tab } = await openPage([/the page crashed/]);
    const second = await tab();
    slowly();
    void inWorker(page, "fetch", url).catch(() => undefined);
    await expect.poll(() => ranges().length).toBe(1);
    const waiting = inWorker<Fetched>(second, "fetch", url);
    await expect
      .poll(async () => (await inWorker<{ received: number }[]>(second, "progress")).some(({ received }) => received > 0))
      .toBe(true);
    expect(ranges().length, "the second tab waits and sees how far it is").toBe(1);
    await expect.poll(() => kept(second), { timeout: 15_000 }).toBeGreaterThan(0);
    const crash = await page.context().newCDPSession(page);
    void crash.send("Page.crash").catch(() => undefined);
    expect((await waiting).content).toBe(sha256);
    expect(ranges()[1]).toMatch(/^bytes=[1-9]/);
    const third = await tab();
    expect((await inWorker<Fetched>(third, "fetch", url)).content, "both read it at once").toBe(sha256);
    expect(ranges().length).toBe(2);
  });

  test("are refused before they begin where the quota is too small, and keep what came where it ends in the middle", async () => {
    const { page, origin } = await openPage();
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1_500_000 });
    const before = await failureOf(page, "fetch", url);
    expect(before.message).toMatch(/needs 3000000 more bytes/);
    expect(before.code).toBe("FRUGAL_NO_SPACE");
    expect(before.fields["needed"]).toBe(content.length);
    expect(before.fields["available"], "found by trying: the browser's estimate is 10 GiB").toBeLessThanOrEqual(1_500_000);
    expect(before.fields["available"]).toBeGreaterThan(500_000);
    expect(await inWorker(page, "names")).toEqual([]);
    server.behave = () => ({ noLength: true, ignoreRange: true });
    const middle = await failureOf(page, "fetch", url);
    expect(middle.code).toBe("FRUGAL_NO_SPACE");
    expect(middle.fields["needed"]).toBeGreaterThan(0);
    const [stored] = await inWorker<{ bytes: number; complete: boolean }[]>(page, "storedFiles");
    expect(stored!.complete).toBe(false);
    expect(stored!.bytes).toBeGreaterThan(100_000);
    await devtools.send("Storage.overrideQuotaForOrigin", { origin });
    server.behave = () => ({});
    expect((await inWorker<Fetched>(page, "fetch", url)).content).toBe(sha256);
    expect(ranges().at(-1)).toMatch(/^bytes=[1-9]/);
  });

  test("that the browser evicts are a clear error while open, and come anew", async () => {
    const { page } = await openPage();
    const { id } = await inWorker<Fetched>(page, "fetch", url);
    await inPage(page, "evict");
    const error = await failureOf(page, "read", id, 0, 10);
    expect(error.code).toBe("FRUGAL_NOT_FOUND");
    expect(error.message).toMatch(/cleared this site's storage; load it again/);
    await inWorker(page, "close", id);
    const again = await inWorker<Fetched>(page, "fetch", url);
    expect(again.content).toBe(sha256);
    await inWorker(page, "close", again.id);
    await inPage(page, "truncate", again.key, 1000);
    expect((await inWorker<Fetched>(page, "fetch", url)).content, "shorter than it was").toBe(sha256);
    expect(ranges().length).toBe(3);
  });

  test("evicted while they come end with an error, or come whole", async () => {
    const { page } = await openPage();
    slowly();
    const fetching = call(page, "inWorker", "fetch", [url]) as Promise<{ value?: Fetched; error?: Failure }>;
    await expect.poll(() => kept(page), { timeout: 15_000 }).toBeGreaterThan(0);
    await inPage(page, "evict").catch(() => undefined); // some browsers refuse while it is written
    const { value, error } = await fetching;
    expect(value?.content ?? error?.code).toBe(error === undefined ? sha256 : "FRUGAL_NOT_FOUND");
    expect((await inWorker<Fetched>(page, "fetch", url)).content).toBe(sha256);
  });

  test("work in a page without a worker, and resume there", async () => {
    const { page } = await openPage([/ERR_/]);
    server.behave = (_, count) => (count === 1 ? { cut: 800_000, slow: 30 } : {});
    const first = (await call(page, "inPage", "fetch", [url, { retries: 0 }])) as { error: Failure };
    expect(first.error.code).toBe("FRUGAL_NETWORK");
    expect((await inPage<Fetched>(page, "fetch", url)).content).toBe(sha256);
    expect(ranges()[1]).toMatch(/^bytes=[1-9]/);
    expect((await inWorker<Fetched>(page, "fetch", url)).content).toBe(sha256);
    expect(ranges().length).toBe(2);
  });

  test("are in memory, with a warning, where the browser keeps nothing", async () => {
    const { page } = await openPage();
    await inWorker(page, "refuseFileSystem");
    const fetched = await inWorker<Fetched>(page, "fetch", url);
    expect(fetched).toMatchObject({ content: sha256, store: "none" });
    expect(fetched.warning).toMatch(/downloads are not kept: this browser refuses its private file system/);
    expect(await inWorker(page, "storageReport")).toMatchObject({ store: "none", stored: 0 });
    expect(await inWorker(page, "storedFiles")).toEqual([]);
    const wanted = await inWorker<Fetched>(page, "fetch", url, { store: "none" });
    expect(wanted.warning).toBeUndefined();
  });

  test("from a server that does not permit it fail with what it must send", async () => {
    const { page } = await openPage([/CORS policy/, /ERR_FAILED/]);
    server.cors = false;
    const error = await failureOf(page, "fetch", url);
    expect(error.code).toBe("FRUGAL_NETWORK");
    expect(error.message).toMatch(/that server must send CORS headers \(Access-Control-Allow-Origin\)/);
    expect(ranges().length, "seldom worth more than one new try").toBe(2);
  });

  test("follow a redirect to another host, where secrets do not follow", async () => {
    const { page } = await openPage();
    const other = await serveFlaky(content);
    server.behave = () => ({ status: 302, headers: { location: `${other.origin}/x`.replace("127.0.0.1", "localhost") } });
    const fetched = await inWorker<Fetched>(page, "fetch", url, { headers: { authorization: "Bearer secret" } });
    expect(fetched.content).toBe(sha256);
    expect(server.seen.at(-1)!.headers.authorization).toBe("Bearer secret");
    expect(other.seen.every(({ headers }) => headers.authorization === undefined)).toBe(true);
    await other.close();
  });

  test("are deleted the least recently used first, and only as far as asked", async () => {
    const { page } = await openPage();
    const keys: string[] = [];
    for (const name of ["a", "b", "c"]) {
      const { key, id } = await inWorker<Fetched>(page, "fetch", `${server.origin}/${name}`);
      keys.push(key);
      if (name !== "b") await inWorker(page, "close", id);
      await sleep(5);
    }
    const used = await inWorker<Fetched>(page, "fetch", `${server.origin}/a`);
    await inWorker(page, "close", used.id);
    expect((await inWorker<{ key: string }[]>(page, "storedFiles")).map(({ key }) => key)).toEqual([keys[1], keys[2], keys[0]]);
    const { usage, quota } = await inWorker<{ usage: number; quota: number }>(page, "storageReport");
    expect(await inWorker(page, "freeSpace", 1000)).toMatchObject({ deleted: [] });
    const freed = await inWorker<{ deleted: string[]; available: number }>(page, "freeSpace", quota - usage + 1000);
    expect(freed.deleted, "b is open, so c is the next").toEqual([keys[2]]);
    expect(freed.available).toBeGreaterThanOrEqual(quota - usage + 1000);
  });

  test("of the hub come with a token that only the hub sees, and are found again", async () => {
    const { page } = await openPage();
    const text = (value: string): Uint8Array => new TextEncoder().encode(value);
    const hub = await serveHub("someone/model", [
      { path: "config.json", bytes: text("{}") },
      { path: "tokenizer.json", bytes: text('{"model": {}}') },
      { path: "model.safetensors", bytes: content, large: true },
      { path: "big-00001-of-00002.gguf", bytes: content.slice(5), large: true },
      { path: "big-00002-of-00002.gguf", bytes: content.slice(9), large: true },
    ]);
    hub.storage = hub.endpoint.replace("127.0.0.1", "localhost");
    const options = { endpoint: hub.endpoint, token: "hf_secret" };
    const model = await inWorker<{ files: [string, string][]; id: number }>(page, "pull", "hf:someone/model", options);
    expect(model.files).toEqual([
      ["config.json", contentHash(text("{}"))],
      ["tokenizer.json", contentHash(text('{"model": {}}'))],
      ["model.safetensors", sha256],
    ]);
    const split = await inWorker<{ files: [string, string][] }>(page, "pull", "hf:someone/model:big-00002-of-00002.gguf", options);
    expect(split.files.map(([path, hash]) => [path, hash === contentHash(content.slice(path.includes("00001-of") ? 5 : 9))])).toEqual([
      ["big-00001-of-00002.gguf", true],
      ["big-00002-of-00002.gguf", true],
    ]);
    expect(new Set(hub.seen.filter(({ kind }) => kind !== "storage").map(({ authorization }) => authorization))).toEqual(
      new Set(["Bearer hf_secret"]),
    );
    expect(new Set(hub.seen.filter(({ kind }) => kind === "storage").map(({ authorization }) => authorization))).toEqual(
      new Set([undefined]),
    );
    const asked = hub.seen.length;
    await page.reload();
    await inWorker(page, "names");
    await page.context().setOffline(true);
    expect(await inWorker(page, "pull", "hf:someone/model", options)).toMatchObject({ files: model.files, store: "opfs" });
    expect(hub.seen.length).toBe(asked);
    await hub.close();
  });
});
