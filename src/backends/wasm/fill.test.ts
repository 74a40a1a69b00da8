/** Rows reach the core in whole groups, in order, whichever sources they lie in. */
import { describe, expect, test } from "vitest";
import { bytesSource } from "../../tensor/source.ts";
import type { RowSource } from "../core/core.ts";
import { fillMatrices, type MatrixShape, type Packing } from "./fill.ts";

interface Piece {
  readonly matrix: number;
  readonly first: number;
  readonly rows: number;
  readonly bytes: readonly number[];
}

/** Keeps what is packed; answers `result`. */
function keeping(result = -1): { readonly packing: Packing; readonly pieces: Piece[]; readonly rooms: Set<number> } {
  const pieces: Piece[] = [];
  const rooms = new Set<number>();
  const laid = new Map<number, Uint8Array>();
  let next = 1;
  return {
    pieces,
    rooms,
    packing: {
      take() {
        rooms.add(next);
        return next++;
      },
      give: (room) => void rooms.delete(room),
      lay: (room, bytes) => void laid.set(room, bytes.slice()),
      async pack(matrix, first, rows, room) {
        pieces.push({ matrix, first, rows, bytes: [...laid.get(room)!] });
        return result;
      },
    },
  };
}

const signal = new AbortController().signal;
/** One byte a row, which is the row's number. */
const numbered = (first: number, rows: number): Uint8Array => Uint8Array.from({ length: rows }, (_, i) => first + i);
const of = (matrix: number, first: number, rows: number, made = false): RowSource => ({
  matrix,
  rows,
  rowBytes: 1,
  from: made ? async () => numbered(first, rows) : { source: bytesSource("rows", numbered(first - 1, rows + 1)), offset: 1 },
});
const fill = (
  matrices: readonly MatrixShape[],
  sources: readonly RowSource[],
  packing: Packing,
  given = signal,
  onProgress?: (n: number) => void,
) => fillMatrices(matrices, sources, { signal: given, onProgress }, packing);

describe("fillMatrices", () => {
  test("joins sources, begins anew with each expert, tells progress and gives its rooms back", async () => {
    const { packing, pieces, rooms } = keeping();
    const told: number[] = [];
    const matrices = [
      { rows: 40, experts: 2 },
      { rows: 5, experts: 1 },
    ];
    const sources = [of(0, 1, 7), of(1, 101, 5), of(0, 8, 30, true), of(0, 38, 3)];
    expect(await fill(matrices, sources, packing, signal, (done) => told.push(done))).toBe("");
    expect(pieces).toEqual([
      { matrix: 0, first: 0, rows: 20, bytes: [...numbered(1, 20)] },
      { matrix: 0, first: 20, rows: 20, bytes: [...numbered(21, 20)] },
      { matrix: 1, first: 0, rows: 5, bytes: [...numbered(101, 5)] },
    ]);
    expect(told).toEqual([20, 40, 45]);
    expect(rooms.size).toBe(0);
  });

  test("more rows than are read at once come in whole groups of 16", async () => {
    const { packing, pieces } = keeping();
    const rowBytes = 300_000;
    const rows = 33;
    const source: RowSource = { matrix: 0, rows, rowBytes, from: async () => new Uint8Array(rows * rowBytes) };
    expect(await fill([{ rows, experts: 1 }], [source], packing)).toBe("");
    expect(pieces.map(({ first, rows: count }) => [first, count])).toEqual([
      [0, 16],
      [16, 16],
      [32, 1],
    ]);
  });

  test.each([
    [7, "not finite 0 7"],
    [-2, "rows"],
  ])("what the core says of a piece is told: %d", async (result, wanted) => {
    const { packing, rooms } = keeping(result);
    expect(await fill([{ rows: 16, experts: 1 }], [of(0, 1, 16)], packing)).toBe(wanted);
    expect(rooms.size).toBe(0);
  });

  test("ends with the signal's reason, and gives its rooms back", async () => {
    const { packing, rooms } = keeping();
    await expect(fill([{ rows: 16, experts: 1 }], [of(0, 1, 16)], packing, AbortSignal.abort(new Error("enough")))).rejects.toThrow(
      "enough",
    );
    expect(rooms.size).toBe(0);
  });
});
