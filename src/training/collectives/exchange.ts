/**
 * A collective over any transport. Every rank exchanges its part directly with every other one, which moves what a ring moves
 * (Patarasuk and Yuan 2009: 2 (P - 1) / P of the bytes), takes two rounds in place of 2 (P - 1), knows by name who is missing, and lets
 * the owner of a part add in the order of ranks: the sums are the same bit for bit whatever carries them and whoever comes first.
 */
import { FrugalError } from "../../tensor/error.ts";
import { type Collective, evenOffsets, type Numbers } from "../collective.ts";
import { notArrived, rankLost, type Transport } from "./transport.ts";

export interface CollectiveOptions {
  /** How long a call waits for the others; longer than any rank computes between two calls. 5 minutes where absent. */
  readonly timeoutMilliseconds?: number | undefined;
  /** Ends all calls, with its reason. */
  readonly signal?: AbortSignal | undefined;
}

const kinds = ["all-reduce", "reduce-scatter", "all-gather", "broadcast", "barrier", "split", "send"] as const;
type Kind = (typeof kinds)[number];

/** The collective of all ranks of a transport. Throws FRUGAL_BAD_ARGUMENT for a time-out that is not above 0. */
export function collectiveOver(transport: Transport, options: CollectiveOptions = {}): Collective {
  const { timeoutMilliseconds: timeout = 300_000, signal } = options;
  if (!(timeout > 0) || timeout > 2 ** 31 - 1)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `collective: the time-out must be above 0 and below 2^31 ms, got ${timeout}`, { timeout });
  const world = Array.from({ length: transport.size }, (_, rank) => rank);
  return collectiveOf({ transport, members: world, lane: 0, timeout, signal, state: { nextLane: 2, broken: undefined } });
}

interface Group {
  readonly transport: Transport;
  /** Ranks of the transport, in this group's order. */
  readonly members: readonly number[];
  /** Collective calls take this lane, sends between two ranks the next one. */
  readonly lane: number;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  /** Shared with the groups split off: what broke one broke all. */
  readonly state: { nextLane: number; broken: { readonly error: unknown } | undefined };
}

function collectiveOf(group: Group): Collective {
  const { transport, members, lane, state } = group;
  const size = members.length;
  const rank = members.indexOf(transport.rank);
  const others = members.map((_, peer) => peer).filter((peer) => peer !== rank);
  const traffic = { calls: 0, bytesSent: 0, bytesReceived: 0 };
  const queues = new Map<string, Promise<unknown>>();
  let sequence = 0;

  /** Others hear of it where the transport can tell them: the ranks that wait for this one need not wait for their time-out. */
  function breakWith(error: unknown, culprit: number): void {
    if (state.broken !== undefined) return;
    state.broken = { error };
    transport.abandon(culprit);
  }

  /** Runs after the calls before it; a failure is the last word of this collective and its groups. */
  function call<T>(queue: string, work: (deadline: () => number) => Promise<T>): Promise<T> {
    const run = async (): Promise<T> => {
      if (state.broken !== undefined) throw state.broken.error;
      try {
        traffic.calls++;
        const deadline = performance.now() + group.timeout;
        return await aborting(
          work(() => deadline),
          group.signal,
        );
      } catch (error) {
        if (error instanceof FrugalError && error.code === "FRUGAL_RANK_LOST") breakWith(error, Number(error.fields["rank"]));
        else if (group.signal?.aborted === true) breakWith(error, transport.rank);
        else state.broken ??= { error };
        throw error;
      }
    };
    const result = (queues.get(queue) ?? Promise.resolve()).then(run);
    queues.set(
      queue,
      result.catch(() => undefined),
    );
    return result;
  }

  async function send(peer: number, numbers: Numbers, deadline: number, ofLane = lane): Promise<void> {
    await transport.send(members[peer]!, ofLane, bytesOf(numbers), deadline);
    traffic.bytesSent += numbers.byteLength;
  }
  async function receive(peer: number, into: Numbers, deadline: number, ofLane = lane): Promise<void> {
    await transport.receive(members[peer]!, ofLane, bytesOf(into), deadline);
    traffic.bytesReceived += into.byteLength;
  }

  /** All ranks say what they call, so that nobody mistakes one call's numbers for another's. Nothing is sent before all have agreed. */
  async function agree(kind: Kind, length: number, detail: number, deadline: number): Promise<void> {
    const own = Int32Array.of(sequence++, kinds.indexOf(kind), length, detail);
    const theirs = others.map(() => new Int32Array(own.length));
    const arrivals = await Promise.allSettled([
      ...others.map((peer, i) => transport.receive(members[peer]!, lane, bytesOf(theirs[i]!), deadline)),
      ...others.map((peer) => transport.send(members[peer]!, lane, bytesOf(own), deadline)),
    ]);
    expectArrived(arrivals, kind, group.timeout);
    others.forEach((peer, i) => expectSame(peer, theirs[i]!, rank, own));
  }

  const partOf = <T extends Numbers>(numbers: T, offsets: readonly number[], of: number): T =>
    numbers.subarray(offsets[of], offsets[of + 1]) as T;

  async function scatter(numbers: Float32Array, offsets: readonly number[], deadline: number): Promise<void> {
    const own = partOf(numbers, offsets, rank);
    const parts: Float32Array[] = others.map(() => new Float32Array(own.length));
    await Promise.all([
      ...others.map((peer, i) => receive(peer, parts[i]!, deadline)),
      ...others.map((peer) => send(peer, partOf(numbers, offsets, peer), deadline)),
    ]);
    // In the order of ranks, mine in its place.
    parts.splice(rank, 0, own);
    const sum = parts[0]!;
    for (const part of parts.slice(1)) for (let i = 0; i < sum.length; i++) sum[i]! += part[i]!;
    if (sum !== own) own.set(sum);
  }

  async function gather(numbers: Numbers, offsets: readonly number[], deadline: number): Promise<void> {
    await Promise.all([
      ...others.map((peer) => receive(peer, partOf(numbers, offsets, peer), deadline)),
      ...others.map((peer) => send(peer, partOf(numbers, offsets, rank), deadline)),
    ]);
  }

  return {
    name: transport.name,
    description: transport.description,
    rank,
    size,
    traffic,
    allReduce: (numbers) =>
      call("all", async (deadline) => {
        const offsets = evenOffsets(numbers.length, size);
        await agree("all-reduce", numbers.length, 0, deadline());
        await scatter(numbers, offsets, deadline());
        await gather(numbers, offsets, deadline());
      }),
    reduceScatter: (numbers, given) =>
      call("all", async (deadline) => {
        const offsets = checkOffsets(given, numbers.length, size);
        await agree("reduce-scatter", numbers.length, hashOf(offsets), deadline());
        await scatter(numbers, offsets, deadline());
      }),
    allGather: (numbers, given) =>
      call("all", async (deadline) => {
        const offsets = checkOffsets(given, numbers.length, size);
        await agree("all-gather", numbers.byteLength, hashOf(offsets), deadline());
        await gather(numbers, offsets, deadline());
      }),
    broadcast: (numbers, from) =>
      call("all", async (deadline) => {
        expectPeer("broadcast", from, size);
        await agree("broadcast", numbers.byteLength, from, deadline());
        if (rank === from) await Promise.all(others.map((peer) => send(peer, numbers, deadline())));
        else await receive(from, numbers, deadline());
      }),
    send: async (numbers, to) => {
      expectPeer("send", to, size, rank);
      return call(`to ${to}`, async (deadline) => {
        const head = Int32Array.of(-1, kinds.indexOf("send"), numbers.byteLength, 0);
        await transport.send(members[to]!, lane + 1, bytesOf(head), deadline());
        await send(to, numbers, deadline(), lane + 1);
      });
    },
    receive: async (into, from) => {
      expectPeer("receive", from, size, rank);
      return call(`from ${from}`, async (deadline) => {
        const head = new Int32Array(4);
        await transport.receive(members[from]!, lane + 1, bytesOf(head), deadline());
        expectSame(from, head, rank, Int32Array.of(-1, kinds.indexOf("send"), into.byteLength, 0));
        await receive(from, into, deadline(), lane + 1);
      });
    },
    barrier: () => call("all", (deadline) => agree("barrier", 0, 0, deadline())),
    split: (number) =>
      call("all", async (deadline) => {
        if (!Number.isInteger(number) || Math.abs(number) > 2 ** 31 - 1)
          throw new FrugalError("FRUGAL_BAD_ARGUMENT", `collective: a group's number must be whole, got ${number}`, { number });
        await agree("split", 0, 0, deadline());
        const said = new Int32Array(2 * size);
        said.set([number, state.nextLane], 2 * rank);
        await gather(said, evenOffsets(said.length, size), deadline());
        // All ranks take the same lanes, whichever groups they are in.
        const next = Math.max(...members.map((_, peer) => said[2 * peer + 1]!));
        if (next + 2 > transport.lanes)
          throw new FrugalError(
            "FRUGAL_UNSUPPORTED",
            `collective: ${transport.name} has ${transport.lanes} lanes, and each split takes two; split less often`,
            {
              lanes: transport.lanes,
            },
          );
        state.nextLane = next + 2;
        return collectiveOf({ ...group, members: members.filter((_, peer) => said[2 * peer] === number), lane: next });
      }),
    // Nobody leaves while others may still wait for what it sent.
    dispose: async () => {
      if (state.broken !== undefined) return;
      await call("all", (deadline) => agree("barrier", 0, 0, deadline()));
      if (lane === 0) await transport.close();
    },
    abandon: (reason) => breakWith(reason, transport.rank),
  };
}

const bytesOf = (numbers: Numbers): Uint8Array => new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);

/** FNV-1a over whole numbers, as 32 bits with a sign. */
const hashOf = (offsets: readonly number[]): number => offsets.reduce((hash, at) => Math.imul(hash ^ at, 0x01000193), 0x811c9dc5 | 0);

/** Names everybody who is missing, and prefers what is known for certain: that a rank ended. */
function expectArrived(arrivals: readonly PromiseSettledResult<void>[], kind: Kind, timeout: number): void {
  const errors = arrivals.flatMap((arrival) => (arrival.status === "rejected" ? [arrival.reason as unknown] : []));
  if (errors.length === 0) return;
  const missing = errors.map((error) => (error instanceof FrugalError && error.code === "FRUGAL_RANK_LOST" ? error : undefined));
  const certain = errors.find((_, i) => missing[i] === undefined || !missing[i]!.message.includes(notArrived));
  if (certain !== undefined) throw certain;
  const ranks = [...new Set(missing.map((error) => Number(error!.fields["rank"])))].sort((a, b) => a - b);
  const also = ranks.length > 1 ? ` (and ${ranks.slice(1).join(", ")})` : "";
  throw rankLost(ranks[0]!, `${notArrived}${also}: nothing within ${timeout / 1000} s of ${kind}`);
}

function expectSame(peer: number, theirs: Int32Array, rank: number, own: Int32Array): void {
  if (theirs.every((word, i) => word === own[i])) return;
  const say = (words: Int32Array): string => `${kinds[words[1]!] ?? "an unknown call"} of length ${words[2]}`;
  const parts = theirs[1] === own[1] && theirs[2] === own[2] ? ", but not in the same parts or the same order" : "";
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `collective: rank ${peer} calls ${say(theirs)} where rank ${rank} calls ${say(own)}${parts}; all ranks must make the same calls`,
    { rank: peer },
  );
}

function checkOffsets(offsets: readonly number[] | undefined, length: number, size: number): readonly number[] {
  if (offsets === undefined) return evenOffsets(length, size);
  const rising = offsets.every((at, i) => Number.isInteger(at) && at >= (offsets[i - 1] ?? 0));
  if (offsets.length === size + 1 && rising && offsets[0] === 0 && offsets.at(-1) === length) return offsets;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `collective: offsets must be ${size + 1} rising places from 0 to ${length}, got [${offsets.slice(0, 8).join(", ")}]`,
  );
}

function expectPeer(part: string, peer: number, size: number, self?: number): void {
  if (Number.isInteger(peer) && peer >= 0 && peer < size && peer !== self) return;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `collective: ${part} needs ${self === undefined ? "a" : "another"} rank from 0 to ${size - 1}, got ${peer}`,
    {
      rank: peer,
    },
  );
}

/** `work`, or the signal's reason as soon as it is aborted. */
async function aborting<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  signal.throwIfAborted();
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
    work.catch(() => undefined);
  }
}
