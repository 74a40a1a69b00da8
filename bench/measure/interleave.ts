/** Takes the samples of one claim: round after round, one of each entrant, so that what disturbs the machine disturbs all alike. */
import type { Claim, Entrant, Setting } from "../claim.ts";

export interface Row {
  readonly entrant: Entrant;
  /** One a round, up to the round in which it failed. */
  readonly samples: readonly number[];
  /** Why it has no more. */
  readonly failure?: string;
}

export interface Rounds {
  readonly repeat: number;
  /** Entrants that the machine has, in the order of their turns. */
  readonly entrants: readonly Entrant[];
  readonly onSample?: (label: string, round: number, value: number | string) => void;
}

export const labelOf = ({ contestant, variant }: Entrant): string => (variant === undefined ? contestant : `${contestant} ${variant}`);

/** An entrant that fails is out; the others go on. Only an abort rejects. */
export async function interleave(claim: Claim, setting: Setting, { repeat, entrants, onSample }: Rounds): Promise<Row[]> {
  const rows = entrants.map((entrant) => ({ entrant, samples: [] as number[], failure: undefined as string | undefined }));
  const first = claim.warmsUp === true ? -1 : 0;
  const rounds = claim.isExact === true ? 1 : repeat;
  for (let round = first; round < rounds; round++)
    for (const row of rows) {
      if (row.failure !== undefined) continue;
      try {
        const value = await row.entrant.sample(setting);
        if (round >= 0) row.samples.push(value);
        onSample?.(labelOf(row.entrant), round, value);
      } catch (error) {
        setting.signal.throwIfAborted();
        row.failure = error instanceof Error ? error.message : String(error);
        onSample?.(labelOf(row.entrant), round, row.failure);
      }
    }
  return rows.map(({ failure, ...row }) => (failure === undefined ? row : { ...row, failure }));
}
