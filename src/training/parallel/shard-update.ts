/** The update of one rank's shard as a graph: its pieces of the parameters, from gradients that are inputs, with states of its own. */
import type { Weight } from "../../backends/backend.ts";
import { type Graph, type Value } from "../../graph/value.ts";
import { createBuilder } from "../../ops/builder.ts";
import { size } from "../../tensor/shape.ts";
import type { UpdateRule } from "../update-rule.ts";
import type { Piece } from "./shards.ts";

/** Not the name of the weight that holds this rank's own gradient. */
export const summedName = (parameter: string): string => `summed/${parameter}`;

export interface ShardUpdate {
  /** Inputs rate [1], count [1], gradientFactor [1] and each piece's `summed/NAME`; outputs each piece's new numbers by its name. */
  readonly graph: Graph;
  /** Never run: says that the parameters are written to. */
  readonly held: Graph;
  /** States of this rank, by the names they have in the graph. */
  readonly states: ReadonlyMap<string, Weight & { readonly piece: Piece; readonly whole: string }>;
}

export function shardUpdate(
  pieces: readonly Piece[],
  shapes: ReadonlyMap<string, readonly number[]>,
  rule: UpdateRule,
  rateFactors: ReadonlyMap<string, number> | undefined,
): ShardUpdate {
  const order: Value[] = [];
  const b = createBuilder((value) => order.push(value));
  const scalar = (name: string): Value => b.input(name, { shape: [1], type: "f32" });
  const [rate, count, factor] = [scalar("rate"), scalar("count"), scalar("gradientFactor")];
  const outputs = new Map<string, Value>();
  const updates = new Map<string, Value>();
  const states = new Map<string, Weight & { readonly piece: Piece; readonly whole: string }>();
  for (const piece of pieces) {
    const { name, shape } = piece;
    const whole = shapes.get(name)!;
    const weight = b.weight(name, whole);
    const parameter = shape[0] === whole[0] ? weight : b.slice(weight, { axis: 0, start: piece.firstRow, length: shape[0]! });
    const gradient = b.input(summedName(name), { shape, type: "f32" });
    const rateFactor = rateFactors?.get(name) ?? 1;
    const stateName = (state: string): string => `shard/${rule.name}.${state}/${name}`;
    const result = rule.step({
      b,
      name,
      parameter,
      gradient: b.mul(gradient, b.reshape(factor, { shape: shape.map(() => 1) })),
      rate: rateFactor === 1 ? rate : b.scale(rate, { by: rateFactor }),
      count,
      state(state, ofShape, initial = 0) {
        const content = { values: async () => new Float32Array(size(ofShape)).fill(initial) };
        states.set(stateName(state), { shape: ofShape, content, piece, whole: `${rule.name}.${state}/${name}` });
        return b.weight(stateName(state), ofShape);
      },
    });
    outputs.set(name, result.parameter);
    for (const [state, value] of Object.entries(result.state)) updates.set(stateName(state), value);
  }
  const h = createBuilder();
  const held = new Map([...shapes].map(([name, shape]) => [name, h.weight(name, shape)]));
  return { graph: { outputs, updates, order }, held: { outputs: new Map(), updates: held }, states };
}
