/**
 * The small network of adapters, up(f(down(x))), and where it stands: at the attention's and the feed-forward's end.
 *
 * Weights, under the name W of the part's last linear (`layers.0.attention.output`, `layers.0.mlp.down`, `layers.0.experts.down`):
 * `W.adapter.down` [size, width], `W.adapter.up` [width, size], each with `.bias`.
 */
import { linear } from "../../blocks/linear.ts";
import { type Graph, sourceName, type Value, valuesOf } from "../../graph/value.ts";
import { rewrite } from "../../graph/rewrite.ts";
import { type ActivationKind, activationKinds } from "../../ops/activation-kinds.ts";
import { createBuilder } from "../../ops/builder.ts";
import type { Builder } from "../../ops/op.ts";
import { FrugalError, nearest } from "../../tensor/error.ts";
import { wholeNumber } from "../../tensor/options.ts";
import { type LinearEnd, linearEnds, usersOf } from "./linear-ends.ts";

export type AdapterPlace = "attention" | "mlp";

export interface AdapterOptions {
  /** Channels inside. */
  readonly size?: number | undefined;
  readonly activation?: ActivationKind | undefined;
  /** Parts of each layer that get an adapter. */
  readonly places?: readonly AdapterPlace[] | undefined;
}

/** A part of a layer: what it reads, and its result before it is added to the stream. */
export interface AdapterSite extends LinearEnd {
  readonly place: AdapterPlace;
}

const lastLinear = /^layers\.\d+\.(?:(attention)\.output|(?:mlp|experts)\.down)$/;

export function checkAdapterOptions(technique: string, { size, activation, places }: AdapterOptions): void {
  wholeNumber(technique, "size", size, 1, 1 << 20);
  if (activation !== undefined && !activationKinds.includes(activation))
    throw unknown(technique, "activation", activation, activationKinds);
  if (places === undefined) return;
  if (!Array.isArray(places) || places.length === 0)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${technique}: places is ${JSON.stringify(places)}; give ["attention"], ["mlp"], or both`,
      {
        option: "places",
      },
    );
  const known: readonly string[] = ["attention", "mlp"];
  for (const place of places) if (!known.includes(place)) throw unknown(technique, "places", place, known);
}

/** Puts `change(site's result, part's input)` in the place of the result of each part. */
export function atParts(
  graph: Graph,
  technique: string,
  places: readonly AdapterPlace[],
  change: (b: Builder, name: string, y: Value, x: Value) => Value,
): Graph {
  const sites = new Map(adapterSites(graph, places, technique).map((site) => [site.end, site]));
  const b = createBuilder();
  const renewed = new Map<Value, Value>();
  return rewrite(graph, (value, original) => {
    const site = sites.get(original);
    const result = site === undefined ? value : change(b, site.name, value, renewed.get(site.x)!);
    renewed.set(original, result);
    return result;
  });
}

export function bottleneck(b: Builder, name: string, x: Value, size: number, activation: ActivationKind): Value {
  const inner = b.activation(linear(b, `${name}.adapter.down`, x, size, true), { kind: activation });
  return linear(b, `${name}.adapter.up`, inner, x.shape[1] as number, true);
}

/** The parts of a graph's layers that get an adapter. Throws FRUGAL_UNSUPPORTED where there are none. */
function adapterSites(graph: Graph, places: readonly AdapterPlace[], technique: string): AdapterSite[] {
  const order = valuesOf(graph);
  const names = order.flatMap((value) => (value.op === "weight" ? [sourceName(value)] : []));
  const wanted = names.filter((name) => lastLinear.test(name) && places.includes(placeOf(name)));
  if (wanted.length === 0)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `${technique}: the model has no layers with ${places.join(" or ")}; use another technique`);
  const users = usersOf(order);
  const firsts = new Map(linearEnds(graph, new Set(names)).map(({ name, x }) => [name, x]));
  return linearEnds(graph, new Set(wanted)).map((found) => {
    const block = found.name.slice(0, found.name.lastIndexOf("."));
    const isExperts = block.endsWith(".experts");
    const reader = isExperts ? "router" : block.endsWith(".attention") ? "query" : "up";
    return {
      name: found.name,
      place: placeOf(found.name),
      x: firsts.get(`${block}.${reader}`)!,
      // What the experts say is combined before it is the part's result.
      end: isExperts ? users.get(found.end)![0]! : found.end,
    };
  });
}

const placeOf = (name: string): AdapterPlace => (lastLinear.exec(name)?.[1] === undefined ? "mlp" : "attention");

function unknown(technique: string, option: string, value: unknown, known: readonly string[]): FrugalError {
  const near = nearest(String(value), known);
  return new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${technique}: ${option} ${JSON.stringify(value)} is unknown; ${near === undefined ? `there are ${known.join(", ")}` : `did you mean "${near}"?`}`,
    { option, value: String(value) },
  );
}
