/** Which products of a model a tuning technique changes, and the rewriting of a graph at them. Blind to how weights are stored. */
import { type Graph, inOrder, results, sourceName, type Value, valuesOf } from "../../graph/value.ts";
import { rewrite } from "../../graph/rewrite.ts";
import { createBuilder } from "../../ops/builder.ts";
import type { Builder } from "../../ops/op.ts";
import { FrugalError, nearest } from "../../tensor/error.ts";

/** A product with a weight, y = x·wᵀ, by the weight's name. */
export interface Linear {
  readonly name: string;
  readonly outputs: number;
  readonly inputs: number;
}

/** Where a linear stands in a graph: `y` is the product alone, before a bias is added. */
export interface LinearSite extends Linear {
  readonly x: Value;
  readonly weight: Value;
  readonly y: Value;
}

/**
 * Names of weights or their ends ("layers.0.attention.query", "attention.query", "query"), names that Hugging Face's models have for them
 * ("q_proj", "model.layers.0.self_attn.q_proj"), or "all-linear": every linear but the head and the routers of experts.
 * A text may list several, with commas between.
 */
export type Targets = string | readonly string[];

/** What Hugging Face's decoders and encoders call them. */
const aliases: ReadonlyMap<string, readonly string[]> = named([
  ["q_proj q_lin", "attention.query"],
  ["k_proj k_lin", "attention.key"],
  ["v_proj v_lin", "attention.value"],
  ["o_proj out_proj out_lin", "attention.output"],
  ["gate_proj", "mlp.gate"],
  ["up_proj c_fc fc1 dense_h_to_4h lin1", "mlp.up"],
  ["down_proj fc2 dense_4h_to_h lin2", "mlp.down"],
  ["c_proj", "attention.output mlp.down"],
  ["lm_head", "head"],
]);

/** Hugging Face's products that hold several of ours side by side. */
const fused: ReadonlyMap<string, readonly string[]> = named([
  ["c_attn qkv_proj query_key_value", "query key value"],
  ["gate_up_proj", "mlp.gate mlp.up"],
]);

function named(rows: readonly (readonly [theirs: string, ours: string])[]): ReadonlyMap<string, readonly string[]> {
  return new Map(rows.flatMap(([theirs, ours]) => theirs.split(" ").map((name) => [name, ours.split(" ")] as const)));
}

const everyLinear = "all-linear";

/** Every product with a weight of the model, in the graph's order; what techniques added to a weight ("W.loraA") is none of them. */
export function linearsOf(graph: Graph): Linear[] {
  const found = new Map<string, Linear>();
  const all = new Set(valuesOf(graph).flatMap((value) => (value.op === "weight" ? [sourceName(value)] : [])));
  for (const value of valuesOf(graph)) {
    const weight = weightOf(value);
    if (weight === undefined || isAddition(sourceName(weight), all)) continue;
    const [outputs, inputs] = weight.shape as readonly [number, number];
    found.set(sourceName(weight), { name: sourceName(weight), outputs, inputs });
  }
  return [...found.values()];
}

/** The linears that the targets name, in the graph's order. Throws FRUGAL_BAD_ARGUMENT for a target that names none. */
export function chooseLinears(graph: Graph, targets: Targets, technique: string): Linear[] {
  const names = typeof targets === "string" ? targets.split(",").map((name) => name.trim()) : targets;
  if (names.every((name) => name === ""))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: no targets; name some, such as "attention.query", or "${everyLinear}"`);
  const linears = linearsOf(graph);
  const chosen = new Set(names.flatMap((target) => matching(graph, linears, target, technique)));
  return linears.filter((linear) => chosen.has(linear));
}

/**
 * What a pattern says of each of the chosen linears, by the linear's name: keys are targets, and the first that fits counts.
 * Throws FRUGAL_BAD_ARGUMENT for a key that fits none.
 */
export function byPattern<T>(
  graph: Graph,
  chosen: readonly Linear[],
  pattern: Readonly<Record<string, T>>,
  technique: string,
): ReadonlyMap<string, T> {
  const found = new Map<string, T>();
  for (const [target, value] of Object.entries(pattern))
    for (const { name } of matching(graph, chosen, target, technique)) if (!found.has(name)) found.set(name, value);
  return found;
}

/** The graph with `change` in place of each product with one of these weights. Throws FRUGAL_NOT_FOUND where the graph lacks one. */
export function rewriteLinears(graph: Graph, chosen: Iterable<string>, change: (b: Builder, site: LinearSite) => Value): Graph {
  const wanted = new Set(chosen);
  const left = new Set(wanted);
  const b = createBuilder();
  const changed = rewrite(graph, (value) => {
    const weight = weightOf(value);
    if (weight === undefined || !wanted.has(sourceName(weight))) return value;
    left.delete(sourceName(weight));
    const [outputs, inputs] = weight.shape as readonly [number, number];
    return change(b, { name: sourceName(weight), outputs, inputs, x: value.inputs[0]!, weight, y: value });
  });
  for (const name of left)
    throw new FrugalError(
      "FRUGAL_NOT_FOUND",
      `tuning: the graph has no product with the weight "${name}"; take the graph of the same model`,
      {
        weight: name,
      },
    );
  return changed;
}

const weightOf = (value: Value): Value | undefined =>
  value.op === "matmul" && value.inputs[1]!.op === "weight" ? value.inputs[1] : undefined;

function isAddition(name: string, all: ReadonlySet<string>): boolean {
  for (let dot = name.lastIndexOf("."); dot > 0; dot = name.lastIndexOf(".", dot - 1)) if (all.has(name.slice(0, dot))) return true;
  return false;
}

function matching(graph: Graph, linears: readonly Linear[], target: string, technique: string): readonly Linear[] {
  const parts = fused.get(lastPart(target));
  if (target === everyLinear) return ordinary(graph, linears);
  const found = linears.filter(({ name }) => ourNames(target).some((end) => name === end || name.endsWith(`.${end}`)));
  if (found.length > 0) return found;
  if (parts !== undefined)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${technique}: "${target}" holds ${parts.join(", ")} side by side, which are tuned one by one here; name ${parts.join(", ")}`,
      { target },
    );
  const near = nearest(target, knownTargets(linears));
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${technique}: no linear is called "${target}"${near === undefined ? "" : `, did you mean "${near}"?`}; there are ${[...new Set(linears.map(({ name }) => withoutLayer(name)))].join(", ")}, and "${everyLinear}"`,
    { target },
  );
}

/** All but the head, routers, and tables that are also read row by row. */
function ordinary(graph: Graph, linears: readonly Linear[]): Linear[] {
  const tables = new Set(
    inOrder(results(graph))
      .flatMap(({ op, inputs }) => (op === "gather" ? [inputs[0]!] : []))
      .map(nameOf),
  );
  const routers = new Set(
    inOrder(results(graph)).flatMap(({ op, inputs }) => (op === "routeIds" ? [nameOf(productBefore(inputs[0]!))] : [])),
  );
  const head = nameOf(productBefore(graph.outputs.get("logits")));
  return linears.filter(({ name }) => name !== head && !tables.has(name) && !routers.has(name));
}

const nameOf = (value: Value | undefined): string | undefined => (value?.op === "weight" ? sourceName(value) : undefined);

/** The weight of the product that this value is, but for scales, biases and caps. */
function productBefore(value: Value | undefined): Value | undefined {
  let at = value;
  while (at !== undefined && at.op !== "matmul" && at.inputs.length > 0) at = at.inputs[0];
  return at === undefined ? undefined : weightOf(at);
}

const lastPart = (name: string): string => name.slice(name.lastIndexOf(".") + 1);
const withoutLayer = (name: string): string => name.replace(/^layers\.\d+\./, "");

/** The names or ends of names that a target means. */
function ourNames(target: string): readonly string[] {
  const known = aliases.get(lastPart(target));
  if (known === undefined) return [target];
  const layer = /(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\./.exec(target)?.[1];
  const sort = /(?:^|\.)(?:self_attn|self_attention|attn|attention)\./.test(target)
    ? "attention"
    : /(?:^|\.)mlp\./.test(target)
      ? "mlp"
      : "";
  const fitting = known.filter((name) => known.length === 1 || name.startsWith(sort));
  return layer === undefined ? fitting : fitting.map((name) => `layers.${layer}.${name}`);
}

function knownTargets(linears: readonly Linear[]): string[] {
  const own = linears.flatMap(({ name }) => [name, withoutLayer(name), lastPart(name)]);
  const foreign = [...aliases].flatMap(([alias, ends]) =>
    linears.some(({ name }) => ends.some((end) => name.endsWith(end))) ? [alias] : [],
  );
  return [everyLinear, ...own, ...foreign];
}
