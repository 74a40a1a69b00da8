/** Stored rows on their way into the core: read some at a time, while the core packs those before. */
import type { FillOptions, RowSource } from "../core/core.ts";

export interface MatrixShape {
  /** Of all experts. */
  readonly rows: number;
  readonly experts: number;
}

export interface Packing {
  take(bytes: number): number;
  give(room: number): void;
  lay(room: number, bytes: Uint8Array): void;
  /** Packs `rows` rows from `first` of a matrix, which lie at `room`: -1, or the first row that holds NaN or infinity. */
  pack(matrix: number, first: number, rows: number, room: number): Promise<number>;
}

/** Read and packed at a time. */
const bytesAtOnce = 4 << 20;
/** native/formats/packed.h packs so many rows side by side. */
const groupRows = 16;

/** "" or what went wrong, as `Core.fill` says it. */
export async function fillMatrices(
  matrices: readonly MatrixShape[],
  sources: readonly RowSource[],
  { signal, onProgress }: FillOptions,
  packing: Packing,
): Promise<string> {
  const byMatrix = new Map<number, RowSource[]>();
  for (const source of sources) {
    const others = byMatrix.get(source.matrix);
    if (others === undefined) byMatrix.set(source.matrix, [source]);
    else others.push(source);
  }
  const most = Math.max(bytesAtOnce, ...sources.map(({ rowBytes }) => groupRows * rowBytes));
  const rooms = [packing.take(most), packing.take(most)];
  let done = 0;
  let turn = 0;
  let before: Promise<string> = Promise.resolve("");
  const packed = async (matrix: number, first: number, rows: number, room: number, bytes: number): Promise<string> => {
    const bad = await packing.pack(matrix, first, rows, room);
    if (bad === -2) return "rows";
    if (bad >= 0) return `not finite ${matrix} ${bad}`;
    done += bytes;
    onProgress?.(done);
    return "";
  };
  try {
    for (const [matrix, of] of byMatrix) {
      const read = rowReader(of);
      const { rows, experts } = matrices[matrix]!;
      const rowBytes = of[0]!.rowBytes;
      const step = Math.max(groupRows, Math.floor(most / rowBytes / groupRows) * groupRows);
      for (let expert = 0; expert < experts; expert++)
        for (let first = 0; first < rows / experts; first += step) {
          signal.throwIfAborted();
          const count = Math.min(step, rows / experts - first);
          // The room was packed from two pieces ago: whoever waited for the piece before knows it.
          const room = rooms[turn++ % 2]!;
          const bytes = await read(count);
          packing.lay(room, bytes);
          const problem = await before;
          if (problem !== "") return problem;
          before = packed(matrix, (expert * rows) / experts + first, count, room, bytes.length);
          before.catch(() => undefined); // whoever awaits it may still be reading
        }
    }
    return await before;
  } finally {
    await before.catch(() => undefined);
    for (const room of rooms) packing.give(room);
  }
}

/** Reads the next rows of a matrix, whichever sources they lie in. */
function rowReader(sources: readonly RowSource[]): (rows: number) => Promise<Uint8Array> {
  let index = 0;
  let used = 0;
  let made: Uint8Array | undefined;
  const some = async (rows: number): Promise<Uint8Array> => {
    const { rowBytes, from, rows: all } = sources[index]!;
    const [start, length] = [used * rowBytes, rows * rowBytes];
    used += rows;
    const bytes =
      "source" in from ? await from.source.read(from.offset + start, length) : (made ??= await from()).subarray(start, start + length);
    if (used < all) return bytes;
    index++;
    used = 0;
    made = undefined;
    return bytes;
  };
  return async (rows) => {
    const first = await some(Math.min(rows, sources[index]!.rows - used));
    const { rowBytes } = sources[0]!;
    if (first.length === rows * rowBytes) return first;
    const whole = new Uint8Array(rows * rowBytes);
    whole.set(first);
    for (let done = first.length; done < whole.length;) {
      const more = await some(Math.min((whole.length - done) / rowBytes, sources[index]!.rows - used));
      whole.set(more, done);
      done += more.length;
    }
    return whole;
  };
}
