/**
 * Texts that are nearly the same as an earlier one. Lee et al., "Deduplicating Training Data Makes Language Models Better", 2022,
 * https://arxiv.org/abs/2107.06499, section 4.2 and appendix A: MinHash signatures cut into bands; two texts that agree in all entries of a
 * band are compared. Two texts of resemblance s meet with probability 1 - (1 - s^rows)^bands.
 */
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions, wholeNumber } from "../../tensor/options.ts";
import { resemblance, shingles, signature } from "./min-hash.ts";

export interface NearDuplicateOptions {
  /** Texts of at least this Jaccard resemblance are duplicates. Default 0.8. */
  readonly threshold?: number;
  /** Words in a run that is compared. Default 5. */
  readonly words?: number;
  /** Default 20 bands of 10 rows: two texts of resemblance 0.8 meet with probability 0.90, of 0.9 with 1 - 2e-4, of 0.5 with 0.02. */
  readonly bands?: number;
  readonly rows?: number;
  readonly seed?: number;
}

export interface NearDuplicates {
  /** The place, counted from 0, of the first kept text that this one nearly repeats; undefined where it is new and now kept. */
  add(text: string): number | undefined;
}

/** The probability that two texts are compared at all. */
export const meetingProbability = (likeness: number, bands: number, rows: number): number => 1 - (1 - likeness ** rows) ** bands;

/**
 * Finds repetitions one text after the other: memory grows with the texts that are kept, by 4 bytes a word and 4 bytes a band. Whatever meets is
 * compared exactly, so nothing below the threshold is taken for a repetition. Throws FRUGAL_BAD_ARGUMENT.
 * @example
 * const seen = nearDuplicates({ threshold: 0.7 });
 * const kept = texts.filter((text) => seen.add(text) === undefined);
 */
export function nearDuplicates(options: NearDuplicateOptions = {}): NearDuplicates {
  checkOptions("near duplicates", options, ["threshold", "words", "bands", "rows", "seed"]);
  const { threshold = 0.8, words = 5, bands = 20, rows = 10, seed = 0 } = options;
  for (const [name, value] of Object.entries({ words, bands, rows })) wholeNumber("near duplicates", name, value, 1, 10_000);
  wholeNumber("near duplicates", "seed", seed, 0);
  if (!(threshold > 0 && threshold <= 1))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `near duplicates: threshold is ${threshold}; give a number above 0 up to 1`, {
      threshold,
    });
  const kept = new Map<number, Uint32Array>();
  const buckets = Array.from({ length: bands }, () => new Map<string, number[]>());
  let count = 0;
  return {
    add(text) {
      const place = count++;
      const set = shingles(text, words);
      const entries = signature(set, bands * rows, seed);
      const keys = buckets.map((_, band) => entries.subarray(band * rows, (band + 1) * rows).join());
      const met = new Set(keys.flatMap((key, band) => buckets[band]!.get(key) ?? []));
      const found = [...met].filter((other) => resemblance(kept.get(other)!, set) >= threshold);
      if (found.length > 0) return Math.min(...found);
      kept.set(place, set);
      for (const [band, key] of keys.entries()) {
        const bucket = buckets[band]!.get(key);
        if (bucket === undefined) buckets[band]!.set(key, [place]);
        else bucket.push(place);
      }
      return undefined;
    },
  };
}
