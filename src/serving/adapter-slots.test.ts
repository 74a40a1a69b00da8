/** Adapters come and go while texts hold them: no text ever meets another adapter's numbers, and everybody's turn comes. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type AdapterLease, type AdapterPlaces, type Adapters, createAdapters } from "./adapter-slots.ts";

interface Setting {
  readonly adapters: Adapters;
  /** What each slot holds. */
  readonly slots: (string | undefined)[];
  readonly reads: string[];
  /** Files, whose content is read as the hash; they may change. */
  readonly files: Map<string, string>;
}

const pause = (turns = 1): Promise<void> => new Promise((resolve) => setTimeout(resolve, turns));

function setting(count: number, more: Partial<AdapterPlaces> = {}, wait: () => Promise<void> = async () => undefined): Setting {
  const slots: (string | undefined)[] = Array.from({ length: count });
  const reads: string[] = [];
  const files = new Map(["a", "b", "c", "d", "e"].map((name) => [name, `${name}1`]));
  const adapters = createAdapters({
    slots: count,
    async read(source) {
      const path = source as string;
      reads.push(path);
      await wait();
      const contentHash = files.get(path);
      if (contentHash === undefined) throw new Error(`no file ${path}`);
      return { rank: 1, bytes: 100, contentHash, numbers: new Map([[contentHash, new Float32Array(1)]]) };
    },
    async write(slot, numbers) {
      await wait();
      slots[slot] = [...numbers.keys()][0];
    },
    ...more,
  });
  return { adapters, slots, reads, files };
}

/** Whether a promise has settled by now. */
const settled = async (work: Promise<unknown>): Promise<boolean> => {
  const pending = Symbol("pending");
  return (await Promise.race([work.catch(() => undefined), pause(2).then(() => pending)])) !== pending;
};

test("a lease names the slot that holds the adapter, and the one unused for longest makes room", async () => {
  const { adapters, slots, reads } = setting(2);
  for (const name of ["a", "b", "c"]) await adapters.load(name, name);
  const [a, b] = [await adapters.lease("a"), await adapters.lease("b")];
  expect([slots[a.slot], slots[b.slot]]).toEqual(["a1", "b1"]);
  expect(adapters.list()).toEqual([
    { name: "a", path: "a", rank: 1, bytes: 100, contentHash: "a1", isResident: true, users: 1 },
    { name: "b", path: "b", rank: 1, bytes: 100, contentHash: "b1", isResident: true, users: 1 },
    { name: "c", path: "c", rank: 1, bytes: 100, contentHash: "c1", isResident: false, users: 0 },
  ]);
  b.release();
  a.release();
  a.release();
  const c = await adapters.lease("c");
  expect(slots).toEqual(["a1", "c1"]);
  expect([c.slot, c.contentHash]).toEqual([1, "c1"]);
  expect(adapters.list().map(({ users }) => users)).toEqual([0, 0, 1]);
  expect(reads).toEqual(["a", "b", "c"]);
});

test("texts wait for a slot in their order, and may give up", async () => {
  const { adapters, slots } = setting(1);
  for (const name of ["a", "b", "c"]) await adapters.load(name, name);
  const a = await adapters.lease("a");
  const controller = new AbortController();
  const [b, given, c] = [adapters.lease("b"), adapters.lease("c", controller.signal), adapters.lease("c")];
  expect(await settled(b)).toBe(false);
  const reason = new Error("enough");
  controller.abort(reason);
  await expect(given).rejects.toBe(reason);
  a.release();
  const second = await b;
  expect(slots).toEqual(["b1"]);
  expect(await settled(c)).toBe(false);
  second.release();
  expect(slots[(await c).slot]).toBe("c1");
});

test("a popular adapter does not keep others out for ever", async () => {
  for (const patience of [0, 1e9]) {
    const { adapters } = setting(1, { patience });
    for (const name of ["a", "b"]) await adapters.load(name, name);
    const first = await adapters.lease("a");
    const b = adapters.lease("b");
    const second = adapters.lease("a");
    expect(await settled(second)).toBe(patience > 0);
    first.release();
    if (patience > 0) (await second).release();
    (await b).release();
    (await second).release();
  }
});

test("a name loaded again is another adapter, and the old one stays with its texts", async () => {
  const { adapters, slots, files } = setting(2);
  await adapters.load("a", "a");
  const old = await adapters.lease("a");
  files.set("a", "a2");
  expect((await adapters.load("a", "a")).contentHash).toBe("a2");
  const renewed = await adapters.lease("a");
  expect([old.contentHash, slots[old.slot], renewed.contentHash, slots[renewed.slot]]).toEqual(["a1", "a1", "a2", "a2"]);
  old.release();
  await adapters.load("b", "b");
  expect((await adapters.lease("b")).slot).toBe(old.slot);
});

test("what is unloaded ends with its texts; those that wait for it get it", async () => {
  const { adapters, slots } = setting(1);
  await adapters.load("a", "a");
  await adapters.load("b", "b");
  const b = await adapters.lease("b");
  const waiting = adapters.lease("a");
  await adapters.unload("a");
  await expect(adapters.lease("a")).rejects.toMatchObject({
    code: "FRUGAL_NOT_FOUND",
    message: 'adapter: there is no "a"; did you mean "b"?',
  });
  await expect(adapters.unload("a")).rejects.toMatchObject({ code: "FRUGAL_NOT_FOUND" });
  b.release();
  const a = await waiting;
  expect(slots[a.slot]).toBe("a1");
  expect(adapters.list().map(({ name }) => name)).toEqual(["b"]);
  a.release();
  expect(slots[(await adapters.lease("b")).slot]).toBe("b1");
});

test("memory beside slots is bounded: what is dropped is read again, and must be the same", async () => {
  const { adapters, reads, files } = setting(1, { hostBytes: 250 });
  for (const name of ["a", "b", "c"]) await adapters.load(name, name);
  for (const name of ["c", "b", "a"]) (await adapters.lease(name)).release();
  expect(reads).toEqual(["a", "b", "c", "a"]);
  files.set("c", "c2");
  await expect(adapters.lease("c")).rejects.toMatchObject({ code: "FRUGAL_BAD_FILE", message: /c has changed since "c" was loaded/ });
  files.delete("c");
  await expect(adapters.lease("c")).rejects.toThrow("no file c");
  expect(adapters.list().every(({ users }) => users === 0)).toBe(true);
  (await adapters.lease("b")).release();
});

test("no more wait than may", async () => {
  const { adapters } = setting(1, { queue: 1 });
  await adapters.load("a", "a");
  await adapters.load("b", "b");
  await adapters.lease("a");
  const waiting = adapters.lease("b");
  await expect(adapters.lease("b")).rejects.toMatchObject({ code: "FRUGAL_BUSY", fields: { waiting: 1, retryAfterSeconds: 1 } });
  adapters.dispose();
  await expect(waiting).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
  await expect(adapters.lease("a")).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
  await expect(adapters.load("c", "c")).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
});

test("names and paths are texts, and a failed load changes nothing", async () => {
  const { adapters, files } = setting(1);
  await adapters.load("a", "a");
  await expect(adapters.load("", "a")).rejects.toThrow(/the name is ""/);
  await expect(adapters.load("a", 3 as unknown as string)).rejects.toThrow(/the path is 3/);
  files.set("a", "a2");
  await expect(adapters.load("a", "nowhere")).rejects.toThrow("no file nowhere");
  await expect(adapters.load("a", "a", AbortSignal.abort(new Error("no")))).rejects.toThrow("no");
  expect(adapters.list().map(({ contentHash }) => contentHash)).toEqual(["a1"]);
});

test("fifty adapters through four slots", async () => {
  const { adapters, slots, files, reads } = setting(4, { hostBytes: 1000 }, pause);
  const all = Array.from({ length: 50 }, (_, i) => `adapter${i}`);
  for (const name of all) {
    files.set(name, `content of ${name}`);
    await adapters.load(name, name);
  }
  await Promise.all(
    Array.from({ length: 150 }, async (_, i) => {
      const name = all[(i * 17) % 50]!;
      const lease = await adapters.lease(name);
      await pause();
      expect(slots[lease.slot]).toBe(`content of ${name}`);
      lease.release();
    }),
  );
  expect(adapters.list().filter(({ isResident }) => isResident)).toHaveLength(4);
  expect(adapters.list().every(({ users }) => users === 0)).toBe(true);
  // What ten places in memory did not hold was read again.
  expect(reads.length).toBeGreaterThan(50);
});

test("whatever happens at once, each text has its adapter's slot until it ends, and all end", async () => {
  const names = fc.constantFrom("a", "b", "c", "d", "e");
  const event = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("lease" as const), name: names, hold: fc.nat(3), abort: fc.option(fc.nat(2)) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("load" as const), name: names }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("unload" as const), name: names }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), name: names }) },
  );
  const property = fc.asyncProperty(
    fc.array(event, { maxLength: 40 }),
    fc.integer({ min: 1, max: 3 }),
    fc.nat(400),
    async (events, count, hostBytes) => {
      const { adapters, slots, files } = setting(count, { hostBytes, patience: 1 }, pause);
      const work: Promise<void>[] = [];
      let versions = 1;
      const hold = async (lease: AdapterLease, turns: number): Promise<void> => {
        for (let turn = 0; turn <= turns; turn++) {
          expect(slots[lease.slot]).toBe(lease.contentHash);
          await pause();
        }
        lease.release();
      };
      const fine = (error: unknown): void => expect(String(error)).toMatch(/there is no|has changed|gave up/);
      for (const each of events) {
        const { name } = each;
        if (each.do === "wait") await pause();
        else if (each.do === "load") {
          files.set(name, `${name}${++versions}`);
          work.push(adapters.load(name, name).then(() => undefined));
        } else if (each.do === "unload") work.push(adapters.unload(name).catch(fine));
        else {
          const controller = new AbortController();
          if (each.abort !== null) setTimeout(() => controller.abort(new Error("gave up")), each.abort);
          work.push(adapters.lease(name, controller.signal).then((lease) => hold(lease, each.hold), fine));
        }
      }
      await Promise.all(work);
      await pause(3);
      expect(adapters.list().every(({ users }) => users === 0)).toBe(true);
      // Every slot can still be had, all of them at once.
      for (let i = 0; i < count; i++) await adapters.load(`last${i}`, "a");
      const last = await Promise.all(Array.from({ length: count }, (_, i) => adapters.lease(`last${i}`)));
      expect(new Set(last.map(({ slot }) => slot)).size).toBe(count);
    },
  );
  await fc.assert(property, { numRuns: 60 });
}, 30_000);

test("an adapter's contents are read as files of its name; what is neither text nor bytes is refused", async () => {
  const seen: unknown[] = [];
  const { adapters } = setting(1, {
    async read(source) {
      seen.push(typeof source === "string" ? source : [source.name, await source.files.get("adapter_config.json")!.read(0, 2)]);
      return { rank: 1, bytes: 1, contentHash: "x", numbers: new Map() };
    },
  });
  expect(await adapters.load("mine", { "adapter_config.json": "{}" })).toMatchObject({ name: "mine", path: "mine" });
  expect(seen).toEqual([["mine", new TextEncoder().encode("{}")]]);
  await expect(adapters.load("mine", { config: 3 as unknown as string })).rejects.toThrow(/mine: the file "config" is neither text nor/);
});
