/** What a step of so many rows takes on this machine, from the steps that were run: exponential averages by powers of two, read in between. */

export interface StepTimes {
  record(rows: number, milliseconds: number): void;
  /** Expected milliseconds; undefined before anything was measured. */
  expected(rows: number): number | undefined;
  /** The most rows, at least `least` and at most `most`, whose step is expected to take no longer than that. */
  rowsWithin(milliseconds: number, least: number, most: number): number;
}

/** Weight of the newest step. */
const newest = 0.15;

export function createStepTimes(): StepTimes {
  /** Of the steps with 2^i to 2^(i+1) - 1 rows: average rows and milliseconds. */
  const buckets: ({ rows: number; milliseconds: number } | undefined)[] = [];
  const times: StepTimes = {
    record(rows, milliseconds) {
      const i = Math.floor(Math.log2(rows));
      const known = buckets[i];
      if (known === undefined) buckets[i] = { rows, milliseconds };
      else {
        // One stall of the machine must not count as what a step takes.
        const bounded = Math.min(milliseconds, 4 * known.milliseconds * Math.max(1, rows / known.rows));
        known.rows += newest * (rows - known.rows);
        known.milliseconds += newest * (bounded - known.milliseconds);
      }
    },
    expected(rows) {
      const known = buckets.filter((bucket) => bucket !== undefined);
      const above = known.find((bucket) => bucket.rows >= rows);
      const below = known.findLast((bucket) => bucket.rows <= rows);
      if (above === undefined || below === undefined) {
        const nearest = above ?? below;
        // Beyond what was seen: more rows take time in proportion, fewer rows take no less than the reading of the weights.
        return nearest && nearest.milliseconds * Math.max(1, rows / nearest.rows);
      }
      if (above.rows === below.rows) return above.milliseconds;
      const share = (rows - below.rows) / (above.rows - below.rows);
      return below.milliseconds + share * (above.milliseconds - below.milliseconds);
    },
    rowsWithin(milliseconds, least, most) {
      let [low, high] = [least, most];
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        if ((times.expected(middle) ?? 0) <= milliseconds) low = middle;
        else high = middle - 1;
      }
      return low;
    },
  };
  return times;
}
