import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memoryPlace } from "./memory.ts";
import { lastUsed, readRecord, recordKeys, removeStored, toRecord, touch, writeRecord, type StoredRecord } from "./record.ts";
import { deleteIn, filesIn, freeIn } from "./store.ts";

const key = (digit: string): string => digit.repeat(64);
const whole: StoredRecord = { url: "http://x/y", received: 10, total: 10, validator: '"1"', sha256: key("a") };

describe("records", () => {
  it("come back as they were written, padded or not", async () => {
    const place = memoryPlace();
    await writeRecord(place, key("1"), whole);
    expect(await readRecord(place, key("1"))).toEqual(whole);
    expect(toRecord(`${JSON.stringify(whole)}      `)).toEqual(whole);
    await touch(place, key("1"), 5);
    expect(await lastUsed(place, key("1"))).toBe(5);
    expect(await recordKeys(place)).toEqual([key("1")]);
    await removeStored(place, key("1"));
    expect(await place.names()).toEqual([]);
  });

  it.each([
    "",
    "null",
    "[]",
    '{"url":5,"received":1}',
    '{"url":"x","received":-1}',
    '{"url":"x","received":2,"total":1}',
    '{"url":"x","received":1,"validator":5}',
    `{"url":"x","received":1,"sha256":"${key("a")}"}`,
    `{"url":"x","received":1,"total":1,"sha256":"short"}`,
    `${JSON.stringify(whole)}garbage`,
  ])("damaged ones count as none: %s", (text) => {
    expect(toRecord(text)).toBeUndefined();
  });

  it("any text is a sound record or none", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const record = toRecord(text);
        if (record !== undefined) expect(record.received).toBeLessThanOrEqual(record.total ?? Number.POSITIVE_INFINITY);
      }),
    );
  });
});

describe("what is stored", () => {
  const store = async (place: ReturnType<typeof memoryPlace>, digit: string, bytes: number, used: number): Promise<void> => {
    const file = await place.grow(key(digit));
    await file.write(0, new Uint8Array(bytes));
    await file.close();
    await writeRecord(place, key(digit), { url: `http://x/${digit}`, received: bytes });
    await touch(place, key(digit), used);
  };

  it("is listed and freed by its last use, what has no record first, what is open never", async () => {
    const place = memoryPlace(100_000);
    await store(place, "1", 20_000, 300);
    await store(place, "2", 20_000, 100);
    await store(place, "3", 20_000, 200);
    const orphan = await place.grow(key("4"));
    await orphan.write(0, new Uint8Array(20_000));
    await orphan.close();
    expect((await filesIn(place)).map(({ url }) => url)).toEqual(["http://x/2", "http://x/3", "http://x/1"]);
    expect((await freeIn(place, 10_000)).deleted).toEqual([]);
    expect((await freeIn(place, 30_000)).deleted).toEqual([key("4")]);
    const unlock = await place.lock(`frugal:stored:${key("2")}`, "shared", false);
    await expect(deleteIn(place, key("2"))).rejects.toMatchObject({ code: "FRUGAL_BUSY" });
    const freed = await freeIn(place, 1_000_000);
    expect(freed.deleted).toEqual([key("3"), key("1")]);
    expect(freed.available, "it says that it is not enough").toBeLessThan(100_000);
    unlock!();
    expect(await deleteIn(place, key("2"))).toBe(true);
    expect(await deleteIn(place, key("2"))).toBe(false);
  });
});
