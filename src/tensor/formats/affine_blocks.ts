/**
 * Encoding 256 values as two half-precision scales d and e, an integer scale and minimum for each sub-block, and a code for each value:
 * x = d * scale * code - e * minimum (ggml calls e dmin). Q2_K, Q4_K and Q5_K differ only in sizes.
 *
 * Against ggml's quantizers on the weights of a 270M model: 11 % (Q2_K), 1 % (Q4_K) and 4 % (Q5_K) less root mean square error, at a third of the speed.
 * Six rounds instead of two would gain 0.2 % more.
 */
import { outward } from "./codebook.ts";
import { nearestScale } from "./half.ts";
import { errorWeights } from "./weights.ts";

export interface AffineShape {
  readonly subBlock: 16 | 32;
  /** Codes run from 0 to this. */
  readonly largestCode: number;
  /** Integer scales and minimums run from 0 to this. */
  readonly largestScale: number;
}

export interface AffineBlock {
  /** Halves. */
  d: number;
  e: number;
  readonly scales: Uint8Array;
  readonly minimums: Uint8Array;
  readonly codes: Uint8Array;
}

/** Trials of mapping a sub-block's range onto this many codes more or fewer. */
const trials = 12;
const step = 0.2;

/** Makes the encoder; its result is overwritten by the next call. */
export function affineEncoder({ subBlock, largestCode, largestScale }: AffineShape): (values: Float32Array, first: number) => AffineBlock {
  const count = 256 / subBlock;
  const weights = new Float64Array(256);
  const idealScales = new Float64Array(count);
  const idealMinimums = new Float64Array(count);
  const scales = new Uint8Array(count);
  const minimums = new Uint8Array(count);
  const best: AffineBlock = { d: 0, e: 0, scales: new Uint8Array(count), minimums: new Uint8Array(count), codes: new Uint8Array(256) };

  const code = (target: number): number => (target > 0 ? (target >= largestCode ? largestCode : (target + 0.5) | 0) : 0);
  const clamp = (scale: number): number => Math.max(0, Math.min(largestScale, scale));

  /** Least squares of w (x - a q + b)^2 with b >= 0 over trial codes; closed form, so one pass a trial. */
  function fit(values: Float32Array, first: number, j: number): void {
    let low = 0;
    let high = -Infinity;
    let sum = 0;
    let sumX = 0;
    let sumXX = 0;
    for (let i = j * subBlock; i < (j + 1) * subBlock; i++) {
      const value = values[first + i]!;
      low = Math.min(low, value);
      high = Math.max(high, value);
      sum += weights[i]!;
      sumX += weights[i]! * value;
      sumXX += weights[i]! * value * value;
    }
    idealScales[j] = 0;
    idealMinimums[j] = -low;
    if (high === low) return;
    let mostExplained = -Infinity;
    for (let trial = 0; trial <= trials; trial++) {
      const inverse = (largestCode + outward(trial) * step) / (high - low);
      let sumQ = 0;
      let sumQQ = 0;
      let sumXQ = 0;
      for (let i = j * subBlock; i < (j + 1) * subBlock; i++) {
        const q = code((values[first + i]! - low) * inverse);
        const weighted = weights[i]! * q;
        sumQ += weighted;
        sumQQ += weighted * q;
        sumXQ += weighted * values[first + i]!;
      }
      const determinant = sum * sumQQ - sumQ * sumQ;
      if (sumQQ === 0) continue;
      let scale = (sum * sumXQ - sumX * sumQ) / determinant;
      let minimum = (sumQ * sumXQ - sumQQ * sumX) / determinant;
      if (!(determinant > 1e-9 * sum * sumQQ && minimum >= 0)) {
        minimum = 0;
        scale = sumXQ / sumQQ;
      }
      const explained = scale * sumXQ - minimum * sumX;
      if (scale > 0 && explained > mostExplained + 1e-9 * sumXX) {
        mostExplained = explained;
        idealScales[j] = scale;
        idealMinimums[j] = minimum;
      }
    }
  }

  /** Chooses each sub-block's integers for these d and e, near what they were or would ideally be; returns the error. */
  function chooseIntegers(values: Float32Array, first: number, d: number, e: number, refine: boolean): number {
    let total = 0;
    for (let j = 0; j < count; j++) {
      const scale = refine ? scales[j]! : d === 0 ? 0 : Math.round(idealScales[j]! / d);
      const minimum = refine ? minimums[j]! : e === 0 ? 0 : Math.round(idealMinimums[j]! / e);
      let least = Infinity;
      for (let a = 0; a < 3; a++) {
        for (let b = 0; b < 3; b++) {
          const s = clamp(scale + outward(a));
          const m = clamp(minimum + outward(b));
          const error = subBlockError(values, first + j * subBlock, weights, j * subBlock, subBlock, largestCode, d * s, e * m, least);
          if (error >= least) continue;
          least = error;
          scales[j] = s;
          minimums[j] = m;
        }
      }
      total += least;
    }
    return total;
  }

  /** The least-squares d and e for the present integers and the codes they lead to. */
  function refitted(values: Float32Array, first: number, d: number, e: number): { d: number; e: number } {
    let [uu, uv, vv, xu, xv] = [0, 0, 0, 0, 0];
    for (let i = 0; i < 256; i++) {
      const j = (i / subBlock) | 0;
      const value = values[first + i]!;
      const scale = d * scales[j]!;
      const u = scale === 0 ? 0 : scales[j]! * code((value + e * minimums[j]!) / scale);
      const v = -minimums[j]!;
      const weight = weights[i]!;
      uu += weight * u * u;
      uv += weight * u * v;
      vv += weight * v * v;
      xu += weight * value * u;
      xv += weight * value * v;
    }
    const determinant = uu * vv - uv * uv;
    if (determinant > 1e-9 * uu * vv) return { d: (vv * xu - uv * xv) / determinant, e: (uu * xv - uv * xu) / determinant };
    return { d: uu > 0 ? (xu - e * uv) / uu : d, e };
  }

  return (values, first) => {
    errorWeights(values, first, weights);
    for (let j = 0; j < count; j++) fit(values, first, j);
    let d = nearestScale(Math.max(...idealScales) / largestScale);
    let e = nearestScale(Math.max(...idealMinimums) / largestScale);
    let least = Infinity;
    for (let round = 0; round < 2; round++) {
      const error = chooseIntegers(values, first, d, e, round > 0);
      if (!(error < least)) break;
      least = error;
      [best.d, best.e] = [d, e];
      best.scales.set(scales);
      best.minimums.set(minimums);
      const next = refitted(values, first, d, e);
      d = nearestScale(next.d);
      e = nearestScale(next.e);
    }
    for (let i = 0; i < 256; i++) {
      const j = (i / subBlock) | 0;
      const scale = best.d * best.scales[j]!;
      best.codes[i] = scale === 0 ? 0 : code((values[first + i]! + best.e * best.minimums[j]!) / scale);
    }
    return best;
  };
}

/** The weighted squared error of one sub-block, or some number above `enough` once that is certain. */
function subBlockError(
  values: Float32Array,
  first: number,
  weights: Float64Array,
  firstWeight: number,
  count: number,
  largestCode: number,
  scale: number,
  minimum: number,
  enough: number,
): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  let error = 0;
  for (let i = 0; i < count && error <= enough; i++) {
    const above = values[first + i]! + minimum;
    const target = above * inverse;
    const q = target > 0 ? (target >= largestCode ? largestCode : (target + 0.5) | 0) : 0;
    const difference = above - scale * q;
    error += weights[firstWeight + i]! * difference * difference;
  }
  return error;
}
