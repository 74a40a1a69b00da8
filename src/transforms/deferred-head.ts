/**
 * A model's `generate` graph as two that put off the output head: one that proposes tokens from a shortlist, and one that reads the whole
 * table later, once for the rows of many tokens. For large vocabularies the table is most of what a step reads.
 */
import { coefficientOf, type Dim, plus, symbol, times } from "../graph/dim.ts";
import { rewrite } from "../graph/rewrite.ts";
import type { Attribute, Graph, Value } from "../graph/value.ts";
import { apply, createBuilder, opRules } from "../ops/builder.ts";

export interface DeferredHead {
  /**
   * Inputs as `generate` has them, with one output row -> hidden [1, width], shortIds [1, n] (i32: those a coarse copy of the table scores
   * highest, highest first) and shortLogits [1, n], what the whole head gives for these.
   */
  readonly shortlist: Graph;
  /** hidden [R, width] -> logits [R, vocabulary], likeliest [R], with the bits that `generate` gives. */
  readonly head: Graph;
  readonly vocabulary: number;
  readonly width: number;
}

/**
 * `count` ids a shortlist. Undefined where the logits are no product with a weight's rows, up to maps that keep the order; or where these rows
 * are no whole blocks of 32 numbers.
 * @example
 * const deferred = deferHead(model.graphs()["generate"]!, 128);
 */
export function deferHead(generate: Graph, count: number): DeferredHead | undefined {
  const { maps, product } = headOf(generate.outputs.get("logits"));
  const [hidden, table] = product?.inputs ?? [];
  if (hidden === undefined || table?.op !== "weight") return undefined;
  const [vocabulary, width] = table.shape as [number, number];
  if (width % 32 !== 0 || count > vocabulary) return undefined;
  const b = createBuilder();
  const mapped = (value: Value): Value => maps.reduce((x, { op, attributes }) => apply(opRules[op]!, [x], attributes), value);
  const ofOne = rewrite({ outputs: new Map([["hidden", hidden]]) }, withOneRow).outputs.get("hidden")!;
  const shortIds = b.routeIds(b.coarseMatmul(ofOne, table), { count });
  const logits = mapped(b.matmul(b.input("hidden", { shape: [symbol("R"), width], type: "f32" }), table));
  return {
    shortlist: {
      outputs: new Map([
        ["hidden", ofOne],
        ["shortIds", shortIds],
        ["shortLogits", mapped(b.pickedMatmul(ofOne, table, shortIds))],
      ]),
    },
    head: {
      outputs: new Map([
        ["logits", logits],
        ["likeliest", b.argmax(logits)],
      ]),
    },
    vocabulary,
    width,
  };
}

const oneRow = (dim: Dim): Dim => {
  const rows = coefficientOf(dim, "R");
  return rows === 0 ? dim : plus(plus(dim, times(symbol("R"), -rows)), rows);
};
const isDim = (value: unknown): value is Dim =>
  typeof value === "number" || (typeof value === "object" && value !== null && "constant" in value);

/** For runs that read one row only: nothing is planned for more. */
function withOneRow(value: Value): Value {
  if (value.op === "weight" || value.op === "constant") return value;
  const attributes = Object.entries(value.attributes).map(([name, attribute]): [string, Attribute] => {
    if (Array.isArray(attribute)) return [name, attribute.map(oneRow)];
    return [name, isDim(attribute) ? oneRow(attribute) : attribute];
  });
  return { ...value, attributes: Object.fromEntries(attributes), shape: value.shape.map(oneRow) };
}

/** The product beneath maps of single numbers that keep their order, and these maps, innermost first. */
function headOf(logits: Value | undefined): { readonly maps: readonly Value[]; readonly product: Value | undefined } {
  const maps: Value[] = [];
  let value = logits;
  while (value !== undefined && rises(value)) {
    maps.unshift(value);
    value = value.inputs[0];
  }
  return { maps, product: value?.op === "matmul" ? value : undefined };
}

const rises = ({ op, attributes }: Value): boolean => op === "tanh" || (op === "scale" && Number(attributes["by"]) > 0);
