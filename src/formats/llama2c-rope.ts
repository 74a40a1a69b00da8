/**
 * Query and key rows of checkpoints whose rope turns neighbouring rows (2i, 2i+1) of a head, put in the order of the rope that
 * turns rows i and i + half: row 2i goes to i, row 2i+1 to half + i. Attention scores do not change.
 */
import type { ByteSource } from "../tensor/source.ts";
import { endsEarly } from "../tensor/source.ts";
import type { StoredTensor } from "../tensor/stored.ts";

/** The tensor with the rows of each of its `heads` heads reordered as they are read; nothing is read before. */
export function unpairedRows(tensor: StoredTensor, heads: number): StoredTensor {
  const rows = tensor.shape[0]! / heads;
  const headBytes = tensor.byteLength / heads;
  const rowBytes = headBytes / rows;
  const name = `${tensor.source.name} (${tensor.name})`;
  const source: ByteSource = {
    name,
    byteLength: tensor.byteLength,
    async read(offset, length) {
      if (offset < 0 || length < 0 || offset + length > tensor.byteLength) throw endsEarly(name, offset, length, tensor.byteLength);
      const first = Math.floor(offset / headBytes) * headBytes;
      const last = Math.ceil((offset + length) / headBytes) * headBytes;
      const paired = await tensor.source.read(tensor.offset + first, last - first);
      const parted = new Uint8Array(paired.length);
      for (let head = 0; head < paired.length; head += headBytes)
        for (let row = 0; row < rows; row++) {
          const from = head + row * rowBytes;
          const to = head + ((row % 2) * (rows / 2) + (row >> 1)) * rowBytes;
          parted.set(paired.subarray(from, from + rowBytes), to);
        }
      return parted.slice(offset - first, offset - first + length);
    },
    // The file belongs to the model, not to one tensor of it.
    async close() {},
  };
  return { ...tensor, source, offset: 0 };
}
