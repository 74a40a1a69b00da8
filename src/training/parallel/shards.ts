/**
 * Which numbers of the parameters each rank updates, and so keeps the optimizer's states of (ZeRO, Rajbhandari et al. 2020, arXiv 1910.02054):
 * one range of all parameters in their order, cut between rows.
 */
import { size } from "../../tensor/shape.ts";

/** Rows of one parameter, or all of it. */
export interface Piece {
  readonly name: string;
  /** Of the piece. */
  readonly shape: readonly number[];
  readonly firstRow: number;
  /** Where its numbers begin among those of the rank. */
  readonly start: number;
}

export interface Shards {
  /** Where each rank's numbers begin among all, and where the last one's end. */
  readonly cuts: readonly number[];
  readonly of: (rank: number) => readonly Piece[];
}

/** `cutsRows`: whether a parameter may be cut between its rows, as a rule that is elementwise allows; else every piece is whole. */
export function shardsOf(
  parameters: readonly string[],
  shapes: ReadonlyMap<string, readonly number[]>,
  ranks: number,
  cutsRows: boolean,
): Shards {
  let total = 0;
  const places = parameters.map((name) => {
    const shape = shapes.get(name)!;
    const place = { name, shape, start: total, row: cutsRows ? size(shape.slice(1)) : size(shape) };
    total += size(shape);
    return place;
  });
  const cuts = Array.from({ length: ranks + 1 }, (_, rank) => {
    const ideal = (total * rank) / ranks;
    const place = places.findLast(({ start }) => start <= ideal);
    return place === undefined ? 0 : place.start + place.row * Math.round((Math.min(ideal, total) - place.start) / place.row);
  });
  const of = (rank: number): Piece[] =>
    places.flatMap(({ name, shape, start }) => {
      const [from, to] = [Math.max(start, cuts[rank]!), Math.min(start + size(shape), cuts[rank + 1]!)];
      if (from >= to) return [];
      const row = size(shape.slice(1));
      return [{ name, shape: [(to - from) / row, ...shape.slice(1)], firstRow: (from - start) / row, start: from - cuts[rank]! }];
    });
  return { cuts, of };
}

/** The cuts as they fall into a range of all numbers, counted from its beginning. */
export const cutsWithin = ({ cuts }: Shards, start: number, length: number): number[] =>
  cuts.map((cut) => Math.min(length, Math.max(0, cut - start)));
