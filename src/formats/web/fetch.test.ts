import fc from "fast-check";
import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FlakyServer, type Misbehaviour, serveFlaky } from "../../../testing/servers/flaky.ts";
import { FrugalError } from "../../tensor/error.ts";
import { fetchInto, type FetchOptions, keyOf, type StoredSource } from "./fetch.ts";
import { memoryPlace } from "./memory.ts";
import type { Place } from "./place.ts";
import { readRecord } from "./record.ts";

const content = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 31) ^ (i >> 8));
const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const sha256 = hashOf(content);

let server: FlakyServer;
let place: Place;
let url: string;
beforeEach(async () => {
  server = await serveFlaky(content);
  url = `${server.origin}/model.gguf`;
  place = memoryPlace();
});
afterEach(() => server.close());

const quick = { retryDelay: 2 };
const fetchIt = (options: FetchOptions = {}): Promise<StoredSource> => fetchInto(place, url, { ...quick, ...options });
const bytesOf = async (source: StoredSource): Promise<Uint8Array> => {
  const bytes = await source.read(0, source.byteLength);
  await source.close();
  return bytes;
};
const expectWhole = async (work: Promise<StoredSource>, expected: Uint8Array = content): Promise<void> => {
  const source = await work;
  expect(source.sha256).toBe(hashOf(expected));
  expect(hashOf(await bytesOf(source))).toBe(hashOf(expected));
};
const failure = async (work: Promise<unknown>): Promise<FrugalError> => {
  const error: unknown = await work.catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(FrugalError);
  return error as FrugalError;
};
/** The first answers go wrong, one after the other. */
const failing = (...faults: Misbehaviour[]): void => void (server.behave = (_, count) => faults[count - 1] ?? {});
const ranges = (): (string | undefined)[] => server.seen.map(({ headers }) => headers.range);
/** A first call that ends in the middle; answers how many bytes it kept. */
const interrupted = async (options: FetchOptions = {}, fault: Misbehaviour = { cut: 100_000 }): Promise<number> => {
  failing(fault);
  await failure(fetchIt({ retries: 0, ...options }));
  server.behave = () => ({});
  return (await readRecord(place, keyOf(url, options.sha256)))?.received ?? 0;
};

describe("a download", () => {
  it("comes once, and is there afterwards without the network", async () => {
    const progress: (number | undefined)[][] = [];
    await expectWhole(fetchIt({ sha256, onProgress: (...numbers) => progress.push(numbers) }));
    expect(progress[0]).toEqual([0, undefined]);
    expect(progress.at(-1)).toEqual([300_000, 300_000]);
    expect(progress.every(([received], i) => received! >= (progress[i - 1]?.[0] ?? 0))).toBe(true);
    await expectWhole(fetchIt({ sha256 }));
    expect(server.seen.length).toBe(1);
    const other = await fetchInto(place, `${server.origin}/mirror`, { sha256 });
    expect(other.url, "what is named by its hash is the same wherever it came from").toBe(url);
    expect(server.seen.length).toBe(1);
  });

  it("without a hash is found by its address; a hash given later is compared with it", async () => {
    await expectWhole(fetchIt());
    await expectWhole(fetchIt({ sha256 }));
    expect(server.seen.length).toBe(1);
    expect((await failure(fetchIt({ sha256: "0".repeat(64) }))).code).toBe("FRUGAL_BAD_FILE");
  });

  it("is fetched again with refresh", async () => {
    await expectWhole(fetchIt());
    server.bytes = content.slice(7);
    await expectWhole(fetchIt({ refresh: true }), content.slice(7));
    await expectWhole(fetchIt(), content.slice(7));
  });

  it("goes on after broken connections, from where they broke", async () => {
    failing({ cut: 50_000 }, { cut: 50_000 }, { cut: 50_000 });
    await expectWhole(fetchIt({ retries: 1 }));
    const starts = ranges().map((range) => Number(/bytes=(\d+)-/.exec(range!)![1]));
    expect(starts.length).toBe(4);
    expect(starts.every((start, i) => i === 0 || start > starts[i - 1]!)).toBe(true);
    expect(server.seen[1]!.headers["if-range"]).toBe('"1"');
  });

  it("goes on in a later call, from the byte where it stopped", async () => {
    const kept = await interrupted();
    expect(kept).toBeGreaterThan(50_000);
    await expectWhole(fetchIt());
    expect(ranges()).toEqual(["bytes=0-", `bytes=${kept}-`]);
  });

  it("compares the date where the server has no tag, or a weak one", async () => {
    server.etag = 'W/"1"';
    server.lastModified = "Sun, 01 Nov 2026 00:00:00 GMT";
    const kept = await interrupted();
    await expectWhole(fetchIt());
    expect(server.seen[1]!.headers["if-range"]).toBe(server.lastModified);
    expect(ranges()[1]).toBe(`bytes=${kept}-`);
  });

  it.each([
    ["the server notices", {}],
    ["the server ignores the condition", { ignoreIfRange: true }],
    ["the server has no ranges", { ignoreRange: true }],
  ])("starts anew when the file changed: %s", async (_, behaviour) => {
    await interrupted();
    server.bytes = content.map((byte) => byte ^ 1);
    server.etag = '"2"';
    server.behave = () => behaviour;
    await expectWhole(fetchIt(), server.bytes);
  });

  it("starts anew when the file became shorter than what is here", async () => {
    await interrupted({}, { cut: 200_000 });
    server.bytes = content.slice(0, 1000);
    server.etag = '"2"';
    server.behave = () => ({ ignoreIfRange: true });
    await expectWhole(fetchIt(), server.bytes);
  });

  it("starts anew where nothing tells versions apart, and goes on where the hash does", async () => {
    server.etag = undefined;
    await interrupted();
    await expectWhole(fetchIt());
    expect(ranges()[1]).toBe("bytes=0-");
    place = memoryPlace();
    server.seen.length = 0;
    const kept = await interrupted({ sha256 });
    await expectWhole(fetchIt({ sha256 }));
    expect(ranges()[1]).toBe(`bytes=${kept}-`);
  });

  it("starts anew where the server has no ranges", async () => {
    failing({ cut: 100_000, ignoreRange: true }, { ignoreRange: true });
    await expectWhole(fetchIt());
  });

  it("starts anew once where the bytes kept are wrong", async () => {
    const kept = await interrupted({ sha256 });
    const file = await place.grow(sha256);
    await file.write(5, new Uint8Array(10).fill(99));
    await file.close();
    await expectWhole(fetchIt({ sha256 }));
    expect(ranges().slice(1)).toEqual([`bytes=${kept}-`, "bytes=0-"]);
  });

  it("starts anew where the record is damaged or the bytes are gone", async () => {
    const key = keyOf(url, undefined);
    await interrupted();
    await place.writeText(`${key}.json`, '{"url":');
    await expectWhole(fetchIt());
    expect(ranges()[1]).toBe("bytes=0-");
    await place.remove(key);
    await expectWhole(fetchIt());
    const shrunk = await place.grow(key);
    await shrunk.truncate(1000);
    await shrunk.close();
    await expectWhole(fetchIt());
  });

  it("counts only what was kept for sure", async () => {
    const kept = await interrupted();
    const file = await place.grow(keyOf(url, undefined));
    await file.write(kept, new Uint8Array(1000)); // written by a tab that died before it was kept
    await file.close();
    await expectWhole(fetchIt());
    expect(ranges()[1]).toBe(`bytes=${kept}-`);
  });

  it("with another hash is removed, with both hashes in the error", async () => {
    const expected = "ab".repeat(32);
    const error = await failure(fetchIt({ sha256: expected }));
    expect(error.code).toBe("FRUGAL_BAD_FILE");
    expect(error.message).toContain(expected);
    expect(error.message).toContain(sha256);
    expect(error.fields).toEqual({ expected, hash: sha256 });
    expect(await place.names()).toEqual([]);
  });

  it("works without a length, and notices a truncated one where the size is known", async () => {
    server.behave = () => ({ noLength: true, ignoreRange: true });
    const totals = new Set<number | undefined>();
    await expectWhole(fetchIt({ onProgress: (_, total) => totals.add(total) }));
    expect(totals).toEqual(new Set([undefined, 300_000]));
    place = memoryPlace();
    server.behave = () => ({ noLength: true, ignoreRange: true, end: 1000 });
    const error = await failure(fetchIt({ byteLength: 300_000, retries: 1 }));
    expect(error.code).toBe("FRUGAL_NETWORK");
    expect(error.message).toContain("the connection ended after 1000 of 300000 bytes; tried 2 times");
  });

  it("takes an empty file", async () => {
    server.bytes = new Uint8Array(0);
    server.behave = () => ({ ignoreRange: true });
    await expectWhole(fetchIt(), server.bytes);
    place = memoryPlace();
    server.behave = () => ({});
    await expectWhole(fetchIt(), server.bytes);
  });

  it("refuses another size than expected, and more bytes than announced", async () => {
    const error = await failure(fetchIt({ byteLength: 299_999 }));
    expect(error.code).toBe("FRUGAL_BAD_FILE");
    expect(error.fields).toEqual({ byteLength: 300_000, expected: 299_999 });
    server.behave = () => ({ noLength: true, extra: 5 });
    const more = await failure(fetchIt());
    expect(more.message).toMatch(/more than the 300000 bytes announced/);
    expect(await place.names()).toEqual([]);
  });

  it.each([
    [401, "FRUGAL_NETWORK", /wants a permission/, 1],
    [403, "FRUGAL_NETWORK", /wants a permission/, 1],
    [404, "FRUGAL_NOT_FOUND", /check the address/, 1],
    [429, "FRUGAL_NETWORK", /too many requests/, 3],
    [503, "FRUGAL_NETWORK", /tried 3 times/, 3],
    [204, "FRUGAL_NETWORK", /HTTP 204 instead of the content/, 3],
  ] as const)("status %i", async (status, code, message, tries) => {
    server.behave = () => ({ status });
    const error = await failure(fetchIt({ retries: 2 }));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(server.seen.length).toBe(tries);
    expect(await place.names()).toEqual([]);
  });

  it("waits as long as the server asks, in seconds or until a date", async () => {
    const waits = async (after: () => string): Promise<number> => {
      place = memoryPlace();
      server.seen.length = 0;
      server.behave = (_, count) => (count === 1 ? { status: 429, headers: { "retry-after": after() } } : {});
      const start = performance.now();
      await expectWhole(fetchIt());
      return performance.now() - start;
    };
    expect(await waits(() => "0.2")).toBeGreaterThan(190);
    expect(await waits(() => new Date(Date.now() + 2000).toUTCString())).toBeGreaterThan(900);
  });

  it("follows a redirect to another host, and resumes through it", async () => {
    const other = await serveFlaky(content);
    let broken = false;
    server.behave = () => ({ status: 302, headers: { location: `${other.origin}/stored` } });
    other.behave = () => (broken ? {} : ((broken = true), { cut: 90_000 }));
    await expectWhole(fetchIt({ headers: { authorization: "Bearer secret" } }));
    expect(server.seen[0]!.headers.authorization).toBe("Bearer secret");
    expect(
      other.seen.map(({ headers }) => headers.authorization),
      "a secret does not follow",
    ).toEqual([undefined, undefined]);
    expect(other.seen[1]!.headers.range).toMatch(/^bytes=[1-9]/);
    await other.close();
  });

  it("gives up a connection that stalls, and goes on", async () => {
    failing({ stall: 70_000 });
    await expectWhole(fetchIt({ stallTimeout: 100 }));
    expect(ranges()[1]).toMatch(/^bytes=[1-9]/);
    place = memoryPlace();
    server.behave = () => ({ stall: 0 });
    const error = await failure(fetchIt({ stallTimeout: 30, retries: 1 }));
    expect(error.message).toMatch(/no byte came for 30 ms/);
  });

  it("is stopped by its signal within 100 ms, wherever it is, and keeps what came", async () => {
    const stopped = async (options: FetchOptions): Promise<number> => {
      const controller = new AbortController();
      let at = 0;
      setTimeout(() => ((at = performance.now()), controller.abort(new Error("stop"))), 60);
      await expect(fetchIt({ ...options, signal: controller.signal })).rejects.toThrow("stop");
      return performance.now() - at;
    };
    server.behave = () => ({ stall: 100_000 });
    expect(await stopped({})).toBeLessThan(100);
    expect((await readRecord(place, keyOf(url, undefined)))!.received).toBe(100_000);
    server.behave = () => ({ status: 503 });
    expect(await stopped({ retryDelay: 30_000 })).toBeLessThan(100);
    await expect(fetchIt({ signal: AbortSignal.abort(new Error("before")) })).rejects.toThrow("before");
  });

  it("is refused before it begins where it does not fit", async () => {
    place = memoryPlace(250_000);
    const error = await failure(fetchIt());
    expect(error.code).toBe("FRUGAL_NO_SPACE");
    expect(error.fields).toEqual({ needed: 300_000, available: 250_000 });
    expect(await place.names()).toEqual([]);
    server.seen.length = 0;
    expect((await failure(fetchIt({ byteLength: 300_000 }))).code).toBe("FRUGAL_NO_SPACE");
    expect(server.seen.length, "where the size is known nobody is asked").toBe(0);
  });

  it("keeps what came when the place is full in the middle", async () => {
    server.behave = () => ({ noLength: true, ignoreRange: true });
    place = memoryPlace(200_000);
    const error = await failure(fetchIt());
    expect(error.code).toBe("FRUGAL_NO_SPACE");
    expect(error.fields["needed"]).toBeGreaterThan(0);
    expect(error.fields["available"]).toBeLessThan(70_000);
    expect((await readRecord(place, keyOf(url, undefined)))!.received).toBeGreaterThan(100_000);
  });

  it("two at once fetch once, and the one who waits sees how far it is", async () => {
    server.behave = () => ({ slow: 150 });
    const seen: number[] = [];
    const first = fetchIt({ sha256 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    const second = fetchIt({ sha256, onProgress: (received) => seen.push(received) });
    await Promise.all([expectWhole(first), expectWhole(second)]);
    expect(server.seen.length).toBe(1);
    expect(seen.some((received) => received > 0 && received < 300_000)).toBe(true);
  });

  it("when the first of two gives up, the second goes on from there", async () => {
    server.behave = () => ({ slow: 60 });
    const controller = new AbortController();
    const first = fetchIt({ signal: controller.signal }).catch(() => "stopped");
    await new Promise((resolve) => setTimeout(resolve, 30));
    const second = fetchIt();
    const third = fetchIt();
    setTimeout(() => controller.abort(), 100);
    await Promise.all([expectWhole(second), expectWhole(third)]);
    expect(await first).toBe("stopped");
    expect(server.seen.length).toBe(2);
    expect(ranges()[1]).toMatch(/^bytes=[1-9]/);
  });

  it("does not replace what is being read", async () => {
    const open = await fetchIt();
    const error = await failure(fetchIt({ refresh: true }));
    expect(error.code).toBe("FRUGAL_BUSY");
    await open.close();
    await expectWhole(fetchIt({ refresh: true }));
  });

  it("survives any order of faults, and never gives wrong bytes", { timeout: 60_000 }, async () => {
    const small = content.slice(0, 50_000);
    const fault: fc.Arbitrary<Misbehaviour> = fc.record(
      {
        status: fc.constantFrom(200, 408, 429, 500, 503).map((status) => (status === 200 ? undefined : status)),
        cut: fc.nat(60_000),
        end: fc.nat(60_000),
        ignoreRange: fc.boolean(),
        ignoreIfRange: fc.boolean(),
        noLength: fc.boolean(),
      },
      { requiredKeys: [] },
    ) as fc.Arbitrary<Misbehaviour>;
    const step = fc.record({ fault, changes: fc.boolean(), givesUp: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 6 }), fc.boolean(), async (steps, hasTag) => {
        place = memoryPlace();
        server.bytes = small;
        const versions: Uint8Array[] = [small];
        const setTag = (): void => void (server.etag = hasTag ? `"${versions.length}"` : undefined);
        setTag();
        for (const { fault: one, changes, givesUp } of steps) {
          if (changes) {
            server.bytes = small.map((byte) => byte ^ versions.length);
            versions.push(server.bytes);
            setTag();
          }
          // A body that ends early without a length cannot be told from a whole one, unless the size is known.
          let isLeft = true;
          server.behave = () => (isLeft ? ((isLeft = false), one) : {});
          const options = { retries: givesUp ? 0 : 2, retryDelay: 0, byteLength: small.length };
          await fetchIt(options).then(
            (source) => source.close(),
            (error: unknown) => expect(error).toBeInstanceOf(FrugalError),
          );
        }
        server.behave = () => ({});
        const bytes = await bytesOf(await fetchIt({ retryDelay: 0, byteLength: small.length }));
        expect(versions.some((version) => hashOf(version) === hashOf(bytes))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });
});
