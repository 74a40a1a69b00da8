/**
 * What a step takes that reads the logits of so many rows, as steps do that verify proposals: a moving average for each number, since products
 * of a few rows grow in stairs, and straight lines between. Steps that also read prompts are another matter (step-times.ts): their rows need
 * no logits, which with a large vocabulary are the greater part of the work.
 */

export interface VerifyTimes {
  record(rows: number, milliseconds: number): void;
  /** Expected milliseconds; undefined before the first record. Beyond the most rows seen the last line goes on: too bold a guess is corrected by what it leads to. */
  expected(rows: number): number | undefined;
}

/** How much of the average a new time replaces, once there are a few: what disturbs one step hardly counts, a growing text does. */
const weight = 0.2;

export function createVerifyTimes(): VerifyTimes {
  /** By their rows, fewest first. */
  const known: { readonly rows: number; milliseconds: number; records: number }[] = [];
  return {
    record(given, milliseconds) {
      const rows = bucketOf(given);
      const place = known.findIndex((entry) => entry.rows >= rows);
      const entry = known[place];
      if (entry?.rows === rows) {
        entry.records++;
        entry.milliseconds += (milliseconds - entry.milliseconds) * Math.max(weight, 1 / entry.records);
      } else known.splice(place < 0 ? known.length : place, 0, { rows, milliseconds, records: 1 });
    },
    expected(rows) {
      const above = known.findIndex((entry) => entry.rows >= rows);
      if (above === 0 || known.length <= 1) return known[0]?.milliseconds;
      const [low, high] = above < 0 ? [known.at(-2)!, known.at(-1)!] : [known[above - 1]!, known[above]!];
      // More rows never take less: two averages taken at different times may say so.
      const slope = Math.max(0, (high.milliseconds - low.milliseconds) / (high.rows - low.rows));
      return low.milliseconds + slope * (rows - low.rows);
    },
  };
}

/** Every number up to 16, then four steps a doubling. */
function bucketOf(rows: number): number {
  if (rows <= 16) return rows;
  const step = 2 ** (Math.floor(Math.log2(rows)) - 2);
  return Math.round(rows / step) * step;
}
