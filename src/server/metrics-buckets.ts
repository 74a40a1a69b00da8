/** Upper edges of histograms: those of vLLM, so that quantiles of two servers compare. Times in seconds. */

export const waitSeconds: readonly number[] = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
export const gapSeconds: readonly number[] = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
export const latencySeconds: readonly number[] = [
  0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
];
export const iterationTokens: readonly number[] = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];
export const requestSeconds: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 600];

/** 1, 2, 5, 10, 20, 50 and so on, up to `most`. */
export function tokenCounts(most: number): readonly number[] {
  const edges: number[] = [];
  for (let scale = 1; scale <= most; scale *= 10) edges.push(...[1, 2, 5].map((step) => step * scale).filter((edge) => edge <= most));
  return edges;
}
