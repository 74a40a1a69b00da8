/**
 * What several ranks (threads, processes, machines) say to each other while they train one model. `collectives/` implements it; data
 * parallelism, sharded optimizers and pipelines use nothing else.
 */

/** Arrays that travel; only Float32Array is ever summed. */
export type Numbers = Float32Array | Int32Array | Uint8Array;

/** Numbers and bytes of the payload since the collective was made, as this rank sent and received them; a few words of agreement a call are not counted. */
export interface Traffic {
  readonly calls: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/**
 * All ranks make the same calls in the same order; calls queue. A call rejects with
 * FRUGAL_RANK_LOST (`fields.rank`) where a rank ended or did not arrive within the time-out, and with
 * FRUGAL_BAD_ARGUMENT where ranks call different things or lengths. After that, every call rejects with the same error: start again from a checkpoint.
 * `offsets` are `size + 1` places that cut an array into the parts of the ranks; near-equal parts where absent (`evenOffsets`).
 */
export interface Collective {
  /** "local", "mpi", "alone". */
  readonly name: string;
  /** For people: what carries the numbers, and how far. */
  readonly description: string;
  readonly rank: number;
  readonly size: number;
  readonly traffic: Traffic;
  /** Replaces the numbers by their sums over all ranks, added in the order of ranks. Moves 2 (size - 1) / size of the bytes each way. */
  allReduce(numbers: Float32Array): Promise<void>;
  /** Replaces this rank's part by its sums over all ranks; the other parts keep what they hold. Moves (size - 1) / size of the bytes. */
  reduceScatter(numbers: Float32Array, offsets?: readonly number[]): Promise<void>;
  /** Fills in the parts of the other ranks. */
  allGather(numbers: Numbers, offsets?: readonly number[]): Promise<void>;
  /** Gives all ranks the numbers of one. */
  broadcast(numbers: Numbers, from: number): Promise<void>;
  /** To one rank, which receives an array of the same length. Queues only with other sends to that rank. */
  send(numbers: Numbers, to: number): Promise<void>;
  /** Queues only with other receives from that rank. */
  receive(into: Numbers, from: number): Promise<void>;
  /** Resolves when all ranks have called it. */
  barrier(): Promise<void>;
  /** The ranks that give the same whole number, in their order here, as a collective of their own. */
  split(group: number): Promise<Collective>;
  /** Ends it, in order: the last call of every rank. Does nothing where a call failed before. */
  dispose(): Promise<void>;
  /** Ends it out of order: calls here reject with the reason, and the other ranks hear that this one is lost, or find out at their time-out. */
  abandon(reason: unknown): void;
}

/** Where near-equal parts of an array begin and end: `offsets[rank]` to `offsets[rank + 1]`. */
export const evenOffsets = (length: number, size: number): number[] =>
  Array.from({ length: size + 1 }, (_, rank) => Math.floor((length * rank) / size));
