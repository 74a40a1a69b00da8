/** What every collective must do, run by each rank of it: in one thread, in workers, under mpirun. Throws where something is wrong. */
import { type Collective, evenOffsets } from "../../src/training/collective.ts";

export type CollectiveCase = readonly [name: string, run: (collective: Collective) => Promise<void>];

/** Numbers of one rank, of many magnitudes, so that another order of adding shows. */
export const numbersOf = (rank: number, length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(1 + i * 0.37 + rank * 2.1) * 10 ** ((i * 7 + rank * 3) % 9) * 1e-4);

/** What the ranks' numbers add up to, one after the other in f32. */
export function plainSum(size: number, length: number): Float32Array {
  const sum = numbersOf(0, length);
  for (let rank = 1; rank < size; rank++) numbersOf(rank, length).forEach((v, i) => (sum[i]! += v));
  return sum;
}

function expectEqual(got: ArrayLike<number>, wanted: ArrayLike<number>, what: string): void {
  if (got.length !== wanted.length) throw new Error(`${what}: ${got.length} numbers, not ${wanted.length}`);
  for (let i = 0; i < wanted.length; i++)
    if (!Object.is(got[i], wanted[i])) throw new Error(`${what}: ${got[i]} at ${i}, not ${wanted[i]}`);
}

/** Odd lengths, fewer numbers than ranks, none, and more than one slot or one eager message. */
const lengths = [0, 1, 2, 3, 7, 1000, 99_991];

export const collectiveCases: readonly CollectiveCase[] = [
  [
    "all-reduce adds in the order of ranks",
    async (collective) => {
      for (const length of lengths) {
        const numbers = numbersOf(collective.rank, length);
        await collective.allReduce(numbers);
        expectEqual(numbers, plainSum(collective.size, length), `all-reduce of ${length}`);
      }
    },
  ],
  [
    "all-reduce moves 2 (P - 1) / P of the bytes",
    async (collective) => {
      const { rank, size } = collective;
      const length = 840; // divides by every number of ranks here
      const before = { ...collective.traffic };
      await collective.allReduce(numbersOf(rank, length));
      const ring = ((2 * (size - 1)) / size) * 4 * length;
      expectEqual(
        [collective.traffic.bytesSent - before.bytesSent, collective.traffic.bytesReceived - before.bytesReceived],
        [ring, ring],
        "bytes sent and received",
      );
      expectEqual([collective.traffic.calls - before.calls], [1], "calls");
    },
  ],
  [
    "reduce-scatter sums each rank's part and leaves the others",
    async (collective) => {
      const { rank, size } = collective;
      for (const length of lengths)
        for (const offsets of [undefined, unevenOffsets(length, size)]) {
          const numbers = numbersOf(rank, length);
          await collective.reduceScatter(numbers, offsets);
          const [from, to] = (offsets ?? evenOffsets(length, size)).slice(rank) as [number, number];
          const wanted = numbersOf(rank, length);
          wanted.set(plainSum(size, length).subarray(from, to), from);
          expectEqual(numbers, wanted, `reduce-scatter of ${length}`);
        }
    },
  ],
  [
    "all-gather fills in the other parts, of any type",
    async (collective) => {
      const { rank, size } = collective;
      for (const length of lengths)
        for (const type of [Float32Array, Int32Array, Uint8Array]) {
          const wanted = new type(length).map((_: number, i: number) => (i * 7) % 251);
          const offsets = unevenOffsets(length, size);
          const numbers = new type(length);
          numbers.set(wanted.subarray(offsets[rank], offsets[rank + 1]), offsets[rank]!);
          await collective.allGather(numbers, offsets);
          expectEqual(numbers, wanted, `all-gather of ${length}`);
        }
    },
  ],
  [
    "broadcast gives one rank's numbers to all",
    async (collective) => {
      for (let from = 0; from < collective.size; from++) {
        const numbers = numbersOf(collective.rank, 3001);
        await collective.broadcast(numbers, from);
        expectEqual(numbers, numbersOf(from, 3001), `broadcast from ${from}`);
      }
    },
  ],
  [
    "sends arrive in order, around a ring, while others are received",
    async (collective) => {
      const { rank, size } = collective;
      if (size === 1) return;
      const [next, previous] = [(rank + 1) % size, (rank + size - 1) % size];
      const sent = lengths.map((length) => collective.send(numbersOf(rank, length), next));
      for (const length of lengths) {
        const into = new Float32Array(length);
        await collective.receive(into, previous);
        expectEqual(into, numbersOf(previous, length), `receive of ${length}`);
      }
      await Promise.all(sent);
    },
  ],
  [
    "calls that are not awaited queue",
    async (collective) => {
      const all = lengths.map((length) => numbersOf(collective.rank, length));
      await Promise.all(all.map((numbers) => collective.allReduce(numbers)));
      all.forEach((numbers, i) => expectEqual(numbers, plainSum(collective.size, lengths[i]!), `all-reduce ${i}`));
    },
  ],
  [
    "a barrier waits for the slowest",
    async (collective) => {
      const { rank, size } = collective;
      if (rank === size - 1) await new Promise((resolve) => setTimeout(resolve, 60));
      const clock = (): number => Date.now() % 1_000_000_000;
      const times = new Int32Array(2 * size);
      times[2 * rank] = clock();
      await collective.barrier();
      times[2 * rank + 1] = clock();
      await collective.allGather(times);
      const lastArrived = Math.max(...times.filter((_, i) => i % 2 === 0));
      const firstLeft = Math.min(...times.filter((_, i) => i % 2 === 1));
      if (firstLeft < lastArrived) throw new Error(`a rank left ${lastArrived - firstLeft} ms before the last arrived`);
    },
  ],
  [
    "split makes groups that work beside each other",
    async (collective) => {
      const { rank, size } = collective;
      const group = await collective.split(rank % 2);
      const members = Array.from({ length: size }, (_, i) => i).filter((i) => i % 2 === rank % 2);
      expectEqual([group.rank, group.size], [members.indexOf(rank), members.length], "rank and size of the group");
      const [inner, outer] = [Float32Array.of(rank + 1), Float32Array.of(rank + 1)];
      await Promise.all([group.allReduce(inner), collective.allReduce(outer)]);
      expectEqual(inner, [members.reduce((sum, i) => sum + i + 1, 0)], "sum within the group");
      expectEqual(outer, [(size * (size + 1)) / 2], "sum over all");
    },
  ],
];

/** Some parts are empty, some are large. */
const unevenOffsets = (length: number, size: number): number[] =>
  Array.from({ length: size + 1 }, (_, rank) => (rank === size ? length : Math.floor((length * rank ** 2) / size ** 2)));
