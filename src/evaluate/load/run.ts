/** Sends the requests of a load: each at its time, or each as soon as one of so many clients is free. */
import { type LoadRequest, type Outcome, send, type Target } from "./client.ts";

export interface LoadOptions {
  /** Most requests under way at once. Default: no limit. */
  readonly concurrency?: number;
  readonly signal: AbortSignal;
  onOutcome?(outcome: Outcome, done: number): void;
}

/**
 * Outcomes in the order in which requests were planned. A request that waits for a free client begins when it is sent, as vLLM counts it.
 * After an abort, what was under way is cancelled, and what was not yet sent has no outcome.
 */
export async function runLoad(
  target: Target,
  requests: readonly LoadRequest[],
  { concurrency = Infinity, signal, onOutcome }: LoadOptions,
): Promise<Outcome[]> {
  const outcomes: (Outcome | undefined)[] = [];
  const begun = performance.now();
  let next = 0;
  let done = 0;
  const client = async (): Promise<void> => {
    while (next < requests.length && !signal.aborted) {
      const index = next++;
      const request = requests[index]!;
      await until(begun + (request.at ?? 0), signal);
      if (signal.aborted) return;
      const outcome = await send(target, request, signal);
      outcomes[index] = outcome;
      onOutcome?.(outcome, ++done);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, requests.length) }, client));
  return outcomes.filter((outcome) => outcome !== undefined);
}

/** Never rejects: who waits looks at the signal afterwards. */
async function until(time: number, signal: AbortSignal): Promise<void> {
  const wait = time - performance.now();
  if (wait <= 0 || signal.aborted) return;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, wait);
    signal.addEventListener("abort", end);
  });
}
