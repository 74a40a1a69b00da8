/** What a strategy proposed, checked: a strategy is code, and what it gets wrong is a fault to be seen, by its own text alone. */
import { FrugalError } from "../tensor/error.ts";

/** The first `most` of them. Throws FRUGAL_INTERNAL for what is no list of token ids. */
export function checkProposal(ids: readonly number[], most: number, vocabularySize: number): readonly number[] {
  const wrong = Array.isArray(ids) ? ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize)) : String(ids);
  if (wrong !== undefined)
    throw new FrugalError(
      "FRUGAL_INTERNAL",
      `speculation: the strategy proposed ${String(wrong)}, which is no token; ids go from 0 to ${vocabularySize - 1}`,
      { proposed: String(wrong), vocabularySize },
    );
  return ids.length > most ? ids.slice(0, most) : ids;
}

/** The proposal, or none once the text has been aborted: nobody waits for a slow strategy of a text that is over. */
export function unlessAborted(
  proposal: readonly number[] | Promise<readonly number[]>,
  signal: AbortSignal | undefined,
): readonly number[] | Promise<readonly number[]> {
  if (!(proposal instanceof Promise) || signal === undefined) return proposal;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve([]);
    signal.addEventListener("abort", onAbort, { once: true });
    proposal.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
    if (signal.aborted) resolve([]);
  });
}
