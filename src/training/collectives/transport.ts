/** What carries messages between two ranks. A collective needs no more than this; `exchange.ts` makes the rest of it. */
import { FrugalError } from "../../tensor/error.ts";

export interface Transport {
  /** "local", "mpi", "alone". */
  readonly name: string;
  readonly description: string;
  readonly rank: number;
  readonly size: number;
  /** Independent streams between each two ranks: in one lane, messages arrive in the order they were sent. */
  readonly lanes: number;
  /** Resolves when `bytes` may be changed. Rejects with FRUGAL_RANK_LOST at the deadline, in milliseconds of `performance.now()`. */
  send(to: number, lane: number, bytes: Uint8Array, deadline: number): Promise<void>;
  /** Fills `bytes` with the next message, which has that length. Rejects as `send` does. */
  receive(from: number, lane: number, bytes: Uint8Array, deadline: number): Promise<void>;
  /** Nothing follows. */
  close(): Promise<void>;
  /** Ends what waits here, and tells the other ranks, where that can be, that `culprit` is lost. */
  abandon(culprit: number): void;
}

/** A rank that ended, or that did not arrive. `why` completes "rank 2 ...". */
export const rankLost = (rank: number, why: string): FrugalError =>
  new FrugalError("FRUGAL_RANK_LOST", `collective: rank ${rank} ${why}; start all ranks again, from the last checkpoint`, { rank });

/** What `rankLost` says where the deadline passed. */
export const notArrived = "did not arrive in time";

/** One rank alone. */
export function aloneTransport(): Transport {
  const nobody = (): Promise<void> =>
    Promise.reject(new FrugalError("FRUGAL_INTERNAL", "collective: one rank alone has nobody to talk to"));
  return {
    name: "alone",
    description: "alone: one rank",
    rank: 0,
    size: 1,
    lanes: Number.MAX_SAFE_INTEGER,
    send: nobody,
    receive: nobody,
    close: () => Promise.resolve(),
    abandon: () => undefined,
  };
}
