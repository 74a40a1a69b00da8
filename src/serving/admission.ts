/** Which waiting texts begin: in turn, as long as there is room, and not before a beginning that another computes now is there to share. */
import { pageSize } from "../ops/cache.ts";
import type { CacheKeeper } from "./cache-keeper.ts";
import { lacking, type PageTable } from "./page-tables.ts";
import type { Running } from "./request.ts";
import { inTurn, isWriting } from "./scheduler.ts";

/** Begins texts as long as there are pages for the whole prompt and one more for each text that has begun. */
export async function admit(
  running: ReadonlySet<Running>,
  sequences: number,
  keeper: CacheKeeper,
  tables: readonly PageTable[],
): Promise<void> {
  const turn = inTurn([...running]);
  let slots = sequences;
  for (const request of turn) {
    if (slots === 0) return;
    if (!request.admitted && waitsForPrefix(request, running)) continue;
    slots--;
    if (request.admitted) continue;
    const started = turn.filter((other) => other.started).length;
    const { sequence } = request;
    keeper.attach(request, Math.min(request.readFrom, sequence.tokens.length - 1));
    const needed = lacking(sequence, sequence.tokens.length, tables);
    const free = keeper.available(running, Math.max(...needed, 0) + started);
    if (started > 0 && needed.some((pages, t) => pages + started > free[t]!)) return keeper.release(request);
    request.admitted = true;
    await keeper.attachRest(request);
  }
}

/** A waiting text whose beginning another is computing now had better wait for that. */
function waitsForPrefix(request: Running, running: ReadonlySet<Running>): boolean {
  if (!request.reuses) return false;
  for (const other of running) {
    if (other === request || !other.admitted || !other.reuses || other.namespace !== request.namespace || isWriting(other)) continue;
    const [mine, theirs] = [request.sequence.tokens, other.sequence.tokens];
    const most = Math.min(mine.length - 1, theirs.length, request.readFrom);
    let common = 0;
    while (common < most && mine[common] === theirs[common]) common++;
    if (common >= other.sequence.computed + pageSize) return true;
  }
  return false;
}
