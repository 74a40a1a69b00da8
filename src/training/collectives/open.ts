/** Which ranks train together: those that mpirun started, the threads that this call starts, or one alone. */
import type { Collective } from "../collective.ts";
import { FrugalError } from "../../tensor/error.ts";
import { collectiveOver, type CollectiveOptions } from "./exchange.ts";
import { aloneTransport } from "./transport.ts";

export interface RanksOptions extends CollectiveOptions {
  /** Ranks as threads of this process; must be absent, 1, or the number of processes under mpirun. */
  readonly workers?: number | undefined;
  /** What the other threads run, and with which arguments: the command line's own entry. */
  readonly script: string | URL;
  readonly args: readonly string[];
  /** Called with what a worker died of; its rank is lost to the others. */
  readonly onError: (rank: number, error: Error) => void;
}

/**
 * Does `work` as one of the ranks. All ranks run the same program up to here and call it with the same options; rank 0 alone writes files and
 * prints. Where the work of one rank throws, the others hear of it. Throws as `openRanks` does.
 */
export async function withRanks<T>(options: RanksOptions, work: (collective: Collective) => Promise<T>): Promise<T> {
  const collective = await openRanks(options);
  try {
    const result = await work(collective);
    await collective.dispose();
    return result;
  } catch (error) {
    collective.abandon(error);
    throw error;
  }
}

/**
 * The collective of this rank; end it with `dispose` or, after an error, with `abandon`.
 * Throws FRUGAL_BAD_ARGUMENT for numbers of workers that make no sense, FRUGAL_UNSUPPORTED under an mpirun that the addon was not built for.
 */
async function openRanks({ workers = 1, script, args, onError, ...options }: RanksOptions): Promise<Collective> {
  if (!Number.isInteger(workers) || workers < 1 || workers > 64)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `workers: must be a whole number from 1 to 64, got ${workers}`, { workers });
  const processes = mpiProcesses();
  const threads = workers > 1 || processes !== undefined ? await import("./workers.ts") : undefined;
  const own = threads?.workerCollective(options);
  if (own !== undefined) return own;
  if (processes !== undefined) {
    if (workers !== 1 && workers !== processes)
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `workers: mpirun started ${processes} processes, each is a worker; leave out workers ${workers}`,
        {
          workers,
        },
      );
    const { mpiTransport } = await import("./mpi.ts");
    return collectiveOver(await mpiTransport(), options);
  }
  return threads === undefined
    ? collectiveOver(aloneTransport(), options)
    : threads.startWorkers(workers, { script, args, onError, ...options });
}

/** How many processes Open MPI's launcher says that it started; undefined without it. */
export function mpiProcesses(
  environment: Readonly<Record<string, string | undefined>> = globalThis.process?.env ?? {},
): number | undefined {
  const said = environment["OMPI_COMM_WORLD_SIZE"];
  return said === undefined ? undefined : Number(said);
}
