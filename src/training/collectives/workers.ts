/** Ranks as threads of this process: the main thread is rank 0 and starts the others, which run the same program with the same arguments. */
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { type Collective } from "../collective.ts";
import { collectiveOver, type CollectiveOptions } from "./exchange.ts";
import { hasLeft, reportLost, shareArea, type SharedArea, sharedMemoryTransport } from "./shared-memory.ts";

export interface WorkersOptions extends CollectiveOptions {
  /** The script that the other ranks run; it must ask for its collective as this one did. */
  readonly script: string | URL;
  readonly args: readonly string[];
  /** Called with what a worker died of. */
  readonly onError: (rank: number, error: Error) => void;
}

const graceMilliseconds = 1000;

interface Place {
  readonly area: SharedArea;
  readonly rank: number;
}

const placeOf = (data: unknown): Place | undefined =>
  typeof data === "object" && data !== null && "frugalRank" in data ? (data.frugalRank as Place) : undefined;

/** This thread's collective, where `startWorkers` started it. */
export function workerCollective(options: CollectiveOptions): Collective | undefined {
  const place = isMainThread ? undefined : placeOf(workerData);
  return place === undefined ? undefined : collectiveOver(sharedMemoryTransport(place.area, place.rank), options);
}

/** Starts ranks 1 to size - 1 and returns the collective of rank 0. Its `dispose` ends the workers, in order or not. */
export function startWorkers(size: number, { script, args, onError, ...options }: WorkersOptions): Collective {
  const area = shareArea(size);
  const ended: Promise<void>[] = [];
  const workers = Array.from({ length: size - 1 }, (_, i) => {
    const place: Place = { area, rank: i + 1 };
    const worker = new Worker(script, { argv: [...args], workerData: { frugalRank: place } });
    worker.on("error", (error) => onError(place.rank, error));
    ended.push(
      new Promise((resolve) => {
        worker.on("exit", () => {
          if (!hasLeft(area, place.rank)) reportLost(area, place.rank);
          resolve();
        });
      }),
    );
    return worker;
  });
  const end = (): Promise<unknown> => Promise.all(workers.map((worker) => worker.terminate()));
  const collective = collectiveOver(sharedMemoryTransport(area, 0), options);
  return {
    ...collective,
    async dispose() {
      await collective.dispose();
      const inOrder = workers.every((_, i) => hasLeft(area, i + 1));
      if (inOrder) await Promise.all(ended);
      else await end();
    },
    abandon(reason) {
      collective.abandon(reason);
      // They hear of it and end; whoever does not is ended. What they have to say of it comes through this thread.
      const grace = setTimeout(end, graceMilliseconds);
      void Promise.all(ended).then(() => clearTimeout(grace));
    },
  };
}
