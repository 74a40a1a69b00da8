/** Ranks in one thread over shared memory: the conformance suite, and what happens when a rank is slow, gone, or calls something else. */
import { describe, expect, it } from "vitest";
import { collectiveCases, numbersOf, plainSum } from "../../../testing/conformance/collective.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { Collective } from "../collective.ts";
import { collectiveOver } from "./exchange.ts";
import { reportLost, shareArea, sharedMemoryTransport } from "./shared-memory.ts";
import { aloneTransport } from "./transport.ts";

function ranks(size: number, timeoutMilliseconds = 20_000, signal?: AbortSignal): { all: Collective[]; lose: (rank: number) => void } {
  const area = shareArea(size, { slotBytes: 4096 });
  const all = Array.from({ length: size }, (_, rank) => collectiveOver(sharedMemoryTransport(area, rank), { timeoutMilliseconds, signal }));
  return { all, lose: (rank) => reportLost(area, rank) };
}

describe.each([1, 2, 3, 4])("%i ranks", (size) => {
  it.each(collectiveCases)("%s", async (_, run) => {
    await Promise.all(ranks(size).all.map(run));
  });
});

it.each(collectiveCases)("one rank alone: %s", (_, run) => run(collectiveOver(aloneTransport())));

const settled = async (calls: readonly Promise<unknown>[]): Promise<FrugalError[]> =>
  (await Promise.allSettled(calls)).map((end) => (end.status === "rejected" ? end.reason : undefined) as FrugalError);

it("waits for a slow rank", async () => {
  const { all } = ranks(2);
  const [slow, fast] = [numbersOf(0, 100), numbersOf(1, 100)];
  const first = all[1]!.allReduce(fast);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await Promise.all([first, all[0]!.allReduce(slow)]);
  expect(fast).toEqual(plainSum(2, 100));
});

it("names the ranks that do not arrive, within the time-out, and stays broken", async () => {
  const { all } = ranks(4, 150);
  const started = performance.now();
  const errors = await settled([all[0]!.allReduce(numbersOf(0, 10)), all[2]!.allReduce(numbersOf(2, 10))]);
  expect(performance.now() - started).toBeLessThan(2000);
  for (const error of errors) expect(error).toMatchObject({ code: "FRUGAL_RANK_LOST", fields: { rank: 1 } });
  expect(errors.map(({ message }) => message)).toContain(
    "collective: rank 1 did not arrive in time (and 3): nothing within 0.15 s of all-reduce; start all ranks again, from the last checkpoint",
  );
  await expect(all[0]!.barrier()).rejects.toBe(errors[0]);
});

it("ends at once where a rank is known to be gone", async () => {
  const { all, lose } = ranks(3);
  const waiting = settled([all[0]!.allReduce(numbersOf(0, 10)), all[2]!.receive(new Float32Array(1), 0)]);
  setTimeout(() => lose(1), 20);
  for (const error of await waiting) expect(error.message).toMatch(/rank 1 was lost/);
  await expect(all[0]!.barrier()).rejects.toThrow(/rank 1 was lost/);
});

it("says which ranks call what, where they differ", async () => {
  const calls: [(c: Collective) => Promise<unknown>, (c: Collective) => Promise<unknown>, RegExp][] = [
    [
      (c) => c.allReduce(new Float32Array(4)),
      (c) => c.allReduce(new Float32Array(5)),
      /all-reduce of length 5 where rank 0 calls all-reduce of length 4/,
    ],
    [(c) => c.allReduce(new Float32Array(4)), (c) => c.barrier(), /barrier of length 0 where rank 0 calls all-reduce of length 4/],
    [(c) => c.broadcast(new Uint8Array(4), 0), (c) => c.broadcast(new Uint8Array(4), 1), /not in the same parts or the same order/],
    [(c) => c.allGather(new Uint8Array(4), [0, 1, 4]), (c) => c.allGather(new Uint8Array(4)), /not in the same parts/],
  ];
  for (const [one, other, message] of calls) {
    const { all } = ranks(2);
    const errors = await settled([one(all[0]!), other(all[1]!)]);
    expect(errors[0]).toMatchObject({ code: "FRUGAL_BAD_ARGUMENT", fields: { rank: 1 } });
    expect(errors[0]!.message).toMatch(message);
    expect(errors[1]!.fields["rank"]).toBe(0);
  }
  const { all } = ranks(2, 200);
  const errors = await settled([all[0]!.send(new Float32Array(3), 1), all[1]!.receive(new Float32Array(2), 0)]);
  expect(errors[1]!.message).toMatch(/rank 0 calls send of length 12 where rank 1 calls send of length 8/);
});

it("stops when the signal says so", async () => {
  const stop = new AbortController();
  const { all } = ranks(2, 20_000, stop.signal);
  const waiting = all[0]!.barrier();
  setTimeout(() => stop.abort(new Error("enough")), 20);
  await expect(waiting).rejects.toThrow("enough");
  await expect(all[0]!.barrier()).rejects.toThrow("enough");
});

it("tells the others when one gives up", async () => {
  const { all } = ranks(3);
  const waiting = settled([all[0]!.barrier(), all[2]!.barrier()]);
  setTimeout(() => all[1]!.abandon(new Error("no disk space")), 20);
  for (const error of await waiting) expect(error.fields["rank"]).toBe(1);
  await expect(all[1]!.barrier()).rejects.toThrow("no disk space");
  await Promise.all(all.map((collective) => collective.dispose()));
});

it("refuses what makes no sense", async () => {
  const [collective] = ranks(2).all as [Collective];
  await expect(collective.broadcast(new Float32Array(1), 2)).rejects.toThrow(/needs a rank from 0 to 1, got 2/);
  const [other] = ranks(2).all as [Collective];
  await expect(other.send(new Float32Array(1), 0)).rejects.toThrow(/another rank from 0 to 1, got 0/);
  for (const offsets of [
    [0, 4],
    [0, 3, 5],
    [1, 2, 4],
    [0, 5, 4],
    [0, 1.5, 4],
  ])
    await expect(ranks(2).all[0]!.reduceScatter(new Float32Array(4), offsets)).rejects.toThrow(
      /offsets must be 3 rising places from 0 to 4/,
    );
  expect(() => shareArea(0)).toThrow(/from 1 to 64, got 0/);
  expect(() => collectiveOver(aloneTransport(), { timeoutMilliseconds: 0 })).toThrow(/above 0/);
});

it("says when there are no more lanes to split into", async () => {
  const area = shareArea(2, { lanes: 4 });
  const all = [0, 1].map((rank) => collectiveOver(sharedMemoryTransport(area, rank), { timeoutMilliseconds: 5000 }));
  await Promise.all(all.map((c) => c.split(0)));
  for (const error of await settled(all.map((c) => c.split(0)))) expect(error.message).toMatch(/local has 4 lanes/);
});
