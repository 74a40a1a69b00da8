/** Options that the techniques of LoRA's family share, and what they say of each linear of a model. */
import type { Graph } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions, wholeNumber } from "../../tensor/options.ts";
import { byPattern, chooseLinears, type Linear, type Targets } from "./targets.ts";

export interface LowRankOptions {
  /** Rows of A and columns of B; 8 where absent. */
  readonly rank?: number | undefined;
  /** What is added is multiplied by alpha / rank; 8 where absent. */
  readonly alpha?: number | undefined;
  /** The linears that are tuned; "all-linear" where absent. */
  readonly targets?: Targets | undefined;
  /** Only 0: no activations are left out. */
  readonly dropout?: number | undefined;
  /** Other ranks for some of the targets: { "attention.query": 4 }. */
  readonly rankPattern?: Readonly<Record<string, number>> | undefined;
  readonly alphaPattern?: Readonly<Record<string, number>> | undefined;
  /** "rank": alpha / rank; "square-root": alpha / √rank (rsLoRA); "rank" where absent. */
  readonly scaling?: Scaling | undefined;
}
type Scaling = "rank" | "square-root";

/** A linear with its rank, and what B·A is multiplied by. */
export interface LowRank extends Linear {
  readonly rank: number;
  readonly scale: number;
}

/** The names of the options, and of those that a technique has besides. */
const lowRankKeys: readonly string[] = ["rank", "alpha", "targets", "dropout", "rankPattern", "alphaPattern", "scaling"];

/** What can be checked without a model. Throws FRUGAL_BAD_ARGUMENT. */
export function checkLowRank(
  technique: string,
  options: LowRankOptions,
  more: readonly string[] = [],
  without: readonly string[] = [],
): void {
  const known = [...lowRankKeys.filter((key) => !without.includes(key)), ...more];
  checkOptions(technique, options, known);
  const { rank, alpha, targets, dropout = 0, rankPattern = {}, alphaPattern = {}, scaling = "rank" } = options;
  wholeNumber(technique, "rank", rank, 1);
  positiveNumber(technique, "alpha", alpha);
  if (dropout !== 0)
    throw wrong(technique, "dropout", `${String(dropout)}, but activations are never left out here; leave it away or give 0`);
  if (scaling !== "rank" && scaling !== "square-root")
    throw wrong(technique, "scaling", `${JSON.stringify(scaling)}; give "rank" or "square-root"`);
  if (
    targets !== undefined &&
    typeof targets !== "string" &&
    !(Array.isArray(targets) && targets.every((name) => typeof name === "string"))
  )
    throw wrong(technique, "targets", `${JSON.stringify(targets)}; give names of linears`);
  for (const [name, pattern, check] of [
    ["rankPattern", rankPattern, (key: string, value: unknown): void => wholeNumber(technique, key, value, 1)],
    ["alphaPattern", alphaPattern, (key: string, value: unknown): void => positiveNumber(technique, key, value)],
  ] as const) {
    if (typeof pattern !== "object" || pattern === null || Array.isArray(pattern))
      throw wrong(technique, name, `${JSON.stringify(pattern)}; give a number for each target, such as { "attention.query": 4 }`);
    for (const [key, value] of Object.entries(pattern)) check(`${name} of "${key}"`, value);
  }
}

/** @throws FRUGAL_BAD_ARGUMENT where `value` is given but is no positive number. */
export function positiveNumber(technique: string, name: string, value: unknown): void {
  if (value !== undefined && !(Number.isFinite(value) && (value as number) > 0))
    throw wrong(technique, name, `${String(value)}; give a positive number`);
}

const wrong = (technique: string, option: string, problem: string): FrugalError =>
  new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: ${option} is ${problem}`, { option });

/** The targets with rank and scale. Throws FRUGAL_BAD_ARGUMENT for unknown targets. */
export function lowRanks(graph: Graph, options: LowRankOptions, technique: string): LowRank[] {
  const { rank = 8, alpha = 8, targets = "all-linear", rankPattern = {}, alphaPattern = {}, scaling = "rank" } = options;
  const linears = chooseLinears(graph, targets, technique);
  const ranks = byPattern(graph, linears, rankPattern, technique);
  const alphas = byPattern(graph, linears, alphaPattern, technique);
  return linears.map((linear) => {
    const own = ranks.get(linear.name) ?? rank;
    const divisor = scaling === "rank" ? own : Math.sqrt(own);
    return { ...linear, rank: own, scale: (alphas.get(linear.name) ?? alpha) / divisor };
  });
}

/** The same; throws FRUGAL_BAD_ARGUMENT where a rank is more than a matrix has singular values. */
export function expectRanks(chosen: LowRank[], technique: string): LowRank[] {
  const over = chosen.find(({ rank, outputs, inputs }) => rank > Math.min(outputs, inputs));
  if (over !== undefined)
    throw wrong(
      technique,
      "rank",
      `${over.rank}, but "${over.name}" [${over.outputs}, ${over.inputs}] has ${Math.min(over.outputs, over.inputs)} singular values; give no more`,
    );
  return chosen;
}
