/** The contract of ways to decode faster: a source of strategies that says where it comes from. */
import type { StrategySource } from "../../serving/strategy.ts";
import type { Paper } from "../../training/technique.ts";

export interface DecodingTechnique extends StrategySource {
  readonly paper: Paper;
  /** Its path on the survey's map. */
  readonly survey: string;
  readonly changes: "schedule";
}
