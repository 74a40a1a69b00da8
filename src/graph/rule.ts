/** What the graph must know of an op to check one use of it: the builder asks when a value is made, verification asks again. */
import { FrugalError, nearest } from "../tensor/error.ts";
import { type Dims, printDims } from "./dim.ts";
import type { Attribute, Attributes, ElementType, Value } from "./value.ts";

/** integer: 0 or more; dim and dims: sizes that may depend on symbols; numbers: a list. */
export type AttributeKind = "number" | "integer" | "boolean" | "dim" | "dims" | "numbers";

/** The kind, with "?" where it may be left out, or the texts to choose from. */
export type AttributeRule = AttributeKind | `${AttributeKind}?` | readonly string[];

export interface OpRule {
  readonly name: string;
  /** The number of inputs; "many" for one or more. */
  readonly arity: number | "many";
  readonly attributes: Readonly<Record<string, AttributeRule>>;
  /** Element type of each input, where not all are "f32". */
  readonly inputTypes?: readonly ElementType[];
  /** Element type of the result, where not "f32". */
  readonly type?: ElementType;
  /** Only moves numbers: takes any element type, the same for all inputs, and its result has it too. */
  readonly anyType?: true;
  shape(inputs: readonly Dims[], attributes: Attributes): Dims;
}

/** Shape and type of the op's result; throws FRUGAL_SHAPE or FRUGAL_BAD_ARGUMENT where inputs or attributes don't fit. */
export function infer(rule: OpRule, inputs: readonly Value[], attributes: Attributes): { shape: Dims; type: ElementType } {
  if (rule.arity === "many" ? inputs.length === 0 : inputs.length !== rule.arity)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${rule.name}: takes ${rule.arity} inputs, got ${inputs.length}`);
  inputs.forEach((input, i) => {
    const wanted = rule.anyType ? inputs[0]!.type : (rule.inputTypes?.[i] ?? "f32");
    if (input.type !== wanted)
      throw new FrugalError(
        "FRUGAL_SHAPE",
        `${rule.name}: input ${i} must be ${wanted}, got ${input.type}${printDims(input.shape)} from ${input.op}`,
      );
  });
  checkAttributes(rule, attributes);
  const shape = rule.shape(
    inputs.map((input) => input.shape),
    attributes,
  );
  return { shape, type: rule.anyType ? inputs[0]!.type : (rule.type ?? "f32") };
}

function checkAttributes(rule: OpRule, attributes: Attributes): void {
  const known = Object.keys(rule.attributes);
  for (const name of Object.keys(attributes)) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    const advice = near === undefined ? `it has ${known.join(", ") || "none"}` : `did you mean "${near}"?`;
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${rule.name}: unknown attribute "${name}"; ${advice}`, { attribute: name });
  }
  for (const [name, accepted] of Object.entries(rule.attributes)) {
    const value = attributes[name];
    const optional = typeof accepted === "string" && accepted.endsWith("?");
    if (value === undefined ? optional : fits(value, accepted)) continue;
    const wanted = typeof accepted === "string" ? accepted.replace("?", "") : `one of ${accepted.join(", ")}`;
    const near = typeof value === "string" && typeof accepted !== "string" ? nearest(value, accepted) : undefined;
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${rule.name}: attribute "${name}" must be ${wanted}, got ${JSON.stringify(value)}${near === undefined ? "" : `; did you mean "${near}"?`}`,
      { attribute: name },
    );
  }
}

function fits(value: Attribute, rule: AttributeRule): boolean {
  if (typeof rule !== "string") return typeof value === "string" && rule.includes(value);
  switch (rule.replace("?", "") as AttributeKind) {
    case "number":
      return typeof value === "number" && Number.isFinite(value);
    case "integer":
      return Number.isSafeInteger(value) && (value as number) >= 0;
    case "boolean":
      return typeof value === "boolean";
    case "dim":
      return isDim(value);
    case "dims":
      return Array.isArray(value) && value.every(isDim);
    case "numbers":
      return Array.isArray(value) && value.every((v) => typeof v === "number" && Number.isFinite(v));
  }
}

function isDim(value: unknown): boolean {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0;
  return typeof value === "object" && value !== null && "constant" in value && "coefficients" in value;
}
