/** Results as text for people. */
import type { ClaimResult, ResultRow, Share } from "./result.ts";
import type { Summary } from "./measure/statistics.ts";

/** Three or four digits that say something. */
export function figure(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

export const spread = ({ least, most }: Summary): string => `(${figure(least)} to ${figure(most)})`;

export function printResult(result: ClaimResult): string {
  const heading = `${result.title}, in ${result.unit}`;
  if (result.skipped !== undefined) return `${heading}\n  not measured: ${result.skipped}\n`;
  const width = Math.max(...result.rows.map(({ label }) => label.length));
  return [
    heading,
    ...result.rows.map((row) => `  ${row.label.padEnd(width)}  ${printRow(row, result.unit)}`),
    `  goal: ${result.goal}: ${verdict(result)}`,
    ...(result.share ? [`  ${printShare(result.share)}`] : []),
    "",
  ].join("\n");
}

function printRow({ summary, failure, ratioOfMedians, pairwiseRatio }: ResultRow, unit: ClaimResult["unit"]): string {
  const failed = failure === undefined ? "" : `failed: ${failure}`;
  if (summary === undefined) return failed;
  // A perplexity is compared to a thousandth.
  const value = unit === "perplexity" ? summary.median.toFixed(4) : figure(summary.median);
  const digits = unit === "perplexity" ? 4 : 2;
  const parts = [value.padStart(8), unit === "perplexity" ? "" : spread(summary).padEnd(20)];
  if (ratioOfMedians !== undefined && pairwiseRatio !== undefined) {
    const times = (ratio: number): string => `${ratio.toFixed(digits)}x`;
    const { median, least, most } = pairwiseRatio;
    parts.push(
      unit === "perplexity"
        ? `ours is ${times(ratioOfMedians)}`
        : `ours is ${times(ratioOfMedians)}; by rounds ${times(median)} (${times(least)} to ${times(most)})`,
    );
  }
  return [...parts, failed]
    .filter((part) => part !== "")
    .join("  ")
    .trimEnd();
}

function verdict({ isReached, peer, rows }: ClaimResult): string {
  if (rows[0]?.summary === undefined) return "not measured";
  if (isReached === undefined) return "no peer to compare with";
  return `${isReached ? "reached" : "missed"}${peer === undefined ? "" : ` (peer: ${peer})`}`;
}

function printShare({ of, unit, perToken, reached, limit, share }: Share): string {
  const [amount, small] = unit === "GB/s" ? [perToken * 1000, "MB"] : [perToken * 1000, "million operations"];
  const percent = (value: number): string => `${(100 * value).toFixed(0)} %`;
  return (
    `share: ${figure(amount)} ${small} a token come to ${figure(reached)} ${unit}, ${percent(share.median)} ` +
    `(${percent(share.least)} to ${percent(share.most)}) of the ${of} of ${figure(limit.median)} ${spread(limit)}`
  );
}
