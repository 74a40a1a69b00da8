/** Ranks in one thread, for tests of what they do together. */
import type { Collective } from "../src/training/collective.ts";
import { collectiveOver } from "../src/training/collectives/exchange.ts";
import { shareArea, sharedMemoryTransport } from "../src/training/collectives/shared-memory.ts";
import { aloneTransport } from "../src/training/collectives/transport.ts";

/** The collectives of `size` ranks over shared memory; of one rank, one alone. */
export function ranksOf(size: number, timeoutMilliseconds = 20_000): Collective[] {
  if (size === 1) return [collectiveOver(aloneTransport())];
  const area = shareArea(size);
  return Array.from({ length: size }, (_, rank) => collectiveOver(sharedMemoryTransport(area, rank), { timeoutMilliseconds }));
}

/** Does the same on every rank, and ends them. A rank that throws is lost to the others, so that none of them waits. */
export function onRanks<T>(size: number, work: (collective: Collective) => Promise<T>): Promise<T[]> {
  return Promise.all(
    ranksOf(size).map(async (collective) => {
      try {
        const result = await work(collective);
        await collective.dispose();
        return result;
      } catch (error) {
        collective.abandon(error);
        throw error;
      }
    }),
  );
}
