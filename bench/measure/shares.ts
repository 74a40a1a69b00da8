/** The two limits a speed is held against: memory, for each token decoded; arithmetic, for each token of a prompt. */
import type { Limit } from "../claim.ts";
import { limitOf } from "./machine.ts";
import type { ModelFacts } from "./model-facts.ts";

/** A token decoded alone reads every weight once. Keys and values are left out: a few percent at these lengths. */
export const memoryLimit = (): Limit => ({
  name: "read bandwidth",
  unit: "GB/s",
  entrant: limitOf("bandwidth"),
  perToken: ({ bytesPerToken }) => bytesPerToken / 1e9,
});

/** A token of a prompt is a multiply-add with every number of the body; attention is left out, and so is the head, which only the last token meets. */
export const arithmeticLimit = ({ isFloat }: ModelFacts): Limit => ({
  name: isFloat ? "peak of f32 multiply-adds" : "peak of int8 dot products",
  unit: "GOP/s",
  entrant: limitOf(isFloat ? "f32" : "int8"),
  perToken: ({ bodyParameters }) => (2 * bodyParameters) / 1e9,
});
