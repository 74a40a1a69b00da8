/**
 * Messages between threads of one process: a few slots of shared memory for each ordered pair of ranks and each lane, and Atomics to wait
 * without blocking the event loop. Works wherever SharedArrayBuffer does, browsers included. One machine only.
 */
import { FrugalError } from "../../tensor/error.ts";
import { notArrived, rankLost, type Transport } from "./transport.ts";

/** What all ranks share; may be posted to workers as it is. */
export interface SharedArea {
  readonly buffer: SharedArrayBuffer;
  readonly size: number;
  readonly lanes: number;
  readonly slotBytes: number;
}

/** Words before the channels: the rank that was lost plus one, and for each rank whether it left in order. */
const headerWords = (size: number): number => 1 + size;
/** Of a channel: pieces written, pieces read, and the length of what lies in each of the two slots. */
const channelWords = 4;
const slots = 2;

export interface SharedAreaOptions {
  /** The world's collective takes two lanes, and so does each `split` a rank is in. */
  readonly lanes?: number;
  /** By default two slots hold what each of two or four ranks sends another one of a 4 MB bucket. Pages that nobody touches take no memory. */
  readonly slotBytes?: number;
}

/** Memory for `size` ranks. Throws FRUGAL_BAD_ARGUMENT for sizes below 1 or above 64, FRUGAL_OUT_OF_MEMORY where there is no such memory. */
export function shareArea(
  size: number,
  { lanes = 8, slotBytes = Math.min(1 << 20, Math.floor((1 << 24) / size ** 2)) }: SharedAreaOptions = {},
): SharedArea {
  if (!Number.isInteger(size) || size < 1 || size > 64)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `workers: must be a whole number from 1 to 64, got ${size}`, { size });
  const channels = size * size * lanes;
  const bytes = 4 * (headerWords(size) + channelWords * channels) + slots * slotBytes * channels;
  try {
    return { buffer: new SharedArrayBuffer(bytes), size, lanes, slotBytes };
  } catch (cause) {
    throw new FrugalError(
      "FRUGAL_OUT_OF_MEMORY",
      `workers: ${bytes} bytes to share between ${size} ranks can't be had; use fewer`,
      { bytes },
      { cause },
    );
  }
}

/** Tells all ranks, now, that one of them is gone: what they wait for rejects with FRUGAL_RANK_LOST. */
export function reportLost(area: SharedArea, rank: number): void {
  const words = controlWords(area);
  Atomics.compareExchange(words, 0, 0, rank + 1);
  for (let i = headerWords(area.size); i < words.length; i++) Atomics.notify(words, i);
}

/** Whether a rank closed its transport, so that nobody needs it any more. */
export const hasLeft = (area: SharedArea, rank: number): boolean => Atomics.load(controlWords(area), 1 + rank) === 1;

const controlWords = ({ buffer, size, lanes }: SharedArea): Int32Array<SharedArrayBuffer> =>
  new Int32Array(buffer, 0, headerWords(size) + channelWords * size * size * lanes);

/** The transport of one rank. */
export function sharedMemoryTransport(area: SharedArea, rank: number): Transport {
  const { buffer, size, lanes, slotBytes } = area;
  const words = controlWords(area);
  const channel = (from: number, to: number, lane: number): { readonly word: number; readonly slot: (count: number) => Uint8Array } => {
    const index = (lane * size + from) * size + to;
    const first = words.byteLength + index * slots * slotBytes;
    return {
      word: headerWords(size) + index * channelWords,
      slot: (count) => new Uint8Array(buffer, first + (count % slots) * slotBytes, slotBytes),
    };
  };

  /** Resolves when the word no longer holds `value`. */
  async function changed(word: number, value: number, peer: number, deadline: number): Promise<void> {
    while (Atomics.load(words, word) === value) {
      const lost = Atomics.load(words, 0);
      if (lost !== 0) throw rankLost(lost - 1, "was lost");
      const left = deadline - performance.now();
      if (left <= 0) throw rankLost(peer, notArrived);
      const waiting = Atomics.waitAsync(words, word, value, left);
      if (waiting.async) await keptAwake(waiting.value);
    }
  }

  return {
    name: "local",
    description: `local: ${size} ranks in one process, over shared memory (one machine)`,
    rank,
    size,
    lanes,
    async send(to, lane, bytes, deadline) {
      const { word, slot } = channel(rank, to, lane);
      for (let done = 0; done < bytes.length;) {
        const written = Atomics.load(words, word);
        // The reader is `slots` pieces behind: wait for it.
        for (let read = Atomics.load(words, word + 1); ((written - read) | 0) >= slots; read = Atomics.load(words, word + 1))
          await changed(word + 1, read, to, deadline);
        const piece = bytes.subarray(done, done + slotBytes);
        slot(written & 1).set(piece);
        words[word + 2 + (written & 1)] = piece.length;
        Atomics.store(words, word, (written + 1) | 0);
        Atomics.notify(words, word);
        done += piece.length;
      }
    },
    async receive(from, lane, bytes, deadline) {
      const { word, slot } = channel(from, rank, lane);
      for (let done = 0; done < bytes.length;) {
        const read = Atomics.load(words, word + 1);
        await changed(word, read, from, deadline);
        const length = words[word + 2 + (read & 1)]!;
        if (length !== Math.min(slotBytes, bytes.length - done))
          throw new FrugalError(
            "FRUGAL_BAD_ARGUMENT",
            `collective: rank ${from} sent ${length} bytes where ${bytes.length - done} are expected`,
            {
              rank: from,
            },
          );
        bytes.set(slot(read & 1).subarray(0, length), done);
        Atomics.store(words, word + 1, (read + 1) | 0);
        Atomics.notify(words, word + 1);
        done += length;
      }
    },
    async close() {
      Atomics.store(words, 1 + rank, 1);
    },
    abandon: (culprit) => reportLost(area, culprit),
  };
}

/** A wait alone does not keep Node's process alive, a timer does. */
async function keptAwake<T>(waiting: Promise<T>): Promise<T> {
  const timer = setInterval(() => undefined, 1000);
  try {
    return await waiting;
  } finally {
    clearInterval(timer);
  }
}
