/**
 * Values as a scale times one of a few levels. Every set of levels used here has its midpoints on multiples of one half,
 * so the nearest level is one look-up.
 */

export interface Codebook {
  /** The level that a code stands for. */
  readonly levels: Float64Array;
  readonly lowest: number;
  readonly highest: number;
  /** The code nearest to `lowest + i / 2`, and to all up to the next half. */
  readonly nearest: Uint8Array;
}

/** How `bestScale` looks for a scale: it maps the largest value close to the lowest level, or to either end, in `trials` steps of a fraction of it to both sides. */
export interface ScaleSearch {
  readonly trials: number;
  readonly step: number;
  readonly bothEnds: boolean;
}

export function codebook(levels: readonly number[]): Codebook {
  const lowest = Math.min(...levels);
  const highest = Math.max(...levels);
  const nearest = Uint8Array.from({ length: 2 * (highest - lowest) + 1 }, (_, i) => {
    const distances = levels.map((level) => Math.abs(level - (lowest + i / 2 + 0.25)));
    return distances.indexOf(Math.min(...distances));
  });
  return { levels: Float64Array.from(levels), lowest, highest, nearest };
}

/** The code of the level nearest to `target`. */
export function codeOf(book: Codebook, target: number): number {
  if (!(target > book.lowest)) return book.nearest[0]!;
  if (target >= book.highest) return book.nearest[book.nearest.length - 1]!;
  return book.nearest[((target - book.lowest) * 2) | 0]!;
}

/** Weighted squared error of `count` values from `first` under this scale. */
export function scaleError(
  book: Codebook,
  scale: number,
  values: Float32Array,
  first: number,
  weights: Float64Array,
  firstWeight: number,
  count: number,
): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  let error = 0;
  for (let i = 0; i < count; i++) {
    const value = values[first + i]!;
    const difference = value - scale * book.levels[codeOf(book, value * inverse)]!;
    error += weights[firstWeight + i]! * difference * difference;
  }
  return error;
}

/** 0, 1, -1, 2, -2, ...: trials start in the middle, and of equally good ones the first wins, the same in every block. */
export const outward = (trial: number): number => ((trial & 1) === 1 ? (trial + 1) / 2 : -trial / 2);

/** What is better only by rounding is not better. */
const slack = 1 + 1e-9;

/**
 * A scale that nearly minimises the weighted squared error: the least-squares scale of the best trial's codes.
 * With s = sum w x l and t = sum w l l that scale is s / t, and it leaves s s / t less error than zeros would.
 */
export function bestScale(
  book: Codebook,
  { trials, step, bothEnds }: ScaleSearch,
  values: Float32Array,
  first: number,
  weights: Float64Array,
  firstWeight: number,
  count: number,
): number {
  let extreme = 0;
  for (let i = first; i < first + count; i++) if (Math.abs(values[i]!) > Math.abs(extreme)) extreme = values[i]!;
  if (extreme === 0) return 0;
  let best = 0;
  let mostExplained = 0;
  for (let end = 0; end < (bothEnds ? 2 : 1); end++) {
    for (let trial = 0; trial <= 2 * trials; trial++) {
      const inverse = ((end === 0 ? book.lowest : book.highest) * (1 + outward(trial) * step)) / extreme;
      let cross = 0;
      let square = 0;
      for (let i = 0; i < count; i++) {
        const value = values[first + i]!;
        const level = book.levels[codeOf(book, value * inverse)]!;
        const weighted = weights[firstWeight + i]! * level;
        cross += weighted * value;
        square += weighted * level;
      }
      if (cross * cross > mostExplained * square * slack) {
        mostExplained = (cross * cross) / square;
        best = cross / square;
      }
    }
  }
  return best;
}
