/** Messages over Open MPI, for several processes on one machine or many: `mpirun -n 4 frugal train ...`. The addon is native/mpi/node.cpp. */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { FrugalError } from "../../tensor/error.ts";
import { notArrived, rankLost, type Transport } from "./transport.ts";

/** Outcomes are "" where all went well, "late" at the deadline, else what MPI says. */
interface Addon {
  start(): Promise<[rank: number, size: number] | string>;
  send(to: number, tag: number, bytes: Uint8Array, milliseconds: number): Promise<string>;
  receive(from: number, tag: number, bytes: Uint8Array, milliseconds: number): Promise<string>;
  finish(): Promise<string>;
  /** All that waits, and all that follows, ends with "abandoned". */
  abandon(): void;
}

/** MPI counts in 31 bits. */
const largestMessage = 1 << 30;

/** The built addon, or why there is none. */
export function findMpi(): { readonly addon: Addon } | { readonly reason: string } {
  const path = fileURLToPath(new URL("../../../native/build/frugal-mpi.node", import.meta.url));
  try {
    return { addon: createRequire(import.meta.url)(path) as Addon };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND";
    return {
      reason: missing
        ? "mpi: its addon is not built; install Open MPI (Debian: openmpi-bin libopenmpi-dev) and run `npm run setup`"
        : `mpi: its addon does not load: ${(error as Error).message}`,
    };
  }
}

/** This process as a rank of the job that mpirun started. Once a process, on its main thread. Throws FRUGAL_UNSUPPORTED without the addon. */
export async function mpiTransport(): Promise<Transport> {
  const found = findMpi();
  if ("reason" in found) throw new FrugalError("FRUGAL_UNSUPPORTED", found.reason);
  const { addon } = found;
  const started = await addon.start();
  if (typeof started === "string") throw new FrugalError("FRUGAL_UNSUPPORTED", `mpi: it does not start: ${started}`);
  const [rank, size] = started;

  const pieces = async (bytes: Uint8Array, peer: number, move: (piece: Uint8Array) => Promise<string>): Promise<void> => {
    for (let done = 0; done < bytes.length; done += largestMessage) {
      const outcome = await move(bytes.subarray(done, done + largestMessage));
      if (outcome === "abandoned") throw rankLost(rank, "gave up");
      if (outcome === "late") throw rankLost(peer, notArrived);
      if (outcome !== "") throw rankLost(peer, `can't be reached: ${outcome}`);
    }
  };
  const left = (deadline: number): number => Math.max(0, deadline - performance.now());
  return {
    name: "mpi",
    description: `mpi: ${size} processes over Open MPI`,
    rank,
    size,
    lanes: 32_768, // the least that MPI promises of tags
    send: (to, lane, bytes, deadline) => pieces(bytes, to, (piece) => addon.send(to, lane, piece, left(deadline))),
    receive: (from, lane, bytes, deadline) => pieces(bytes, from, (piece) => addon.receive(from, lane, piece, left(deadline))),
    // The process ends soon, and mpirun ends the others.
    abandon: () => addon.abandon(),
    async close() {
      const outcome = await addon.finish();
      if (outcome !== "") throw new FrugalError("FRUGAL_UNSUPPORTED", `mpi: it does not end: ${outcome}`);
    },
  };
}
