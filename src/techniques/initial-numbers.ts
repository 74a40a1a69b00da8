/** Random numbers that weights begin with: functions of seed, the weight's name and the place alone, so that nothing depends on an order. */
import { philox } from "../tensor/random.ts";

/** Numbers spread evenly between -bound and bound. */
export function uniformNumbers(seed: number, name: string, count: number, bound: number): Float32Array {
  const numbers = new Float32Array(count);
  eachBlock(seed, name, count, (words, at) => {
    for (let i = 0; i < 4 && at + i < count; i++) numbers[at + i] = bound * (2 * fraction(words[i]!) - 1);
  });
  return numbers;
}

/** Normally distributed numbers with mean 0 (Box and Muller 1958). */
export function normalNumbers(seed: number, name: string, count: number, deviation: number): Float32Array {
  const numbers = new Float32Array(count);
  eachBlock(seed, name, count, (words, at) => {
    for (let i = 0; i < 4; i += 2) {
      const radius = deviation * Math.sqrt(-2 * Math.log(fraction(words[i]!)));
      const angle = 2 * Math.PI * fraction(words[i + 1]!);
      if (at + i < count) numbers[at + i] = radius * Math.cos(angle);
      if (at + i + 1 < count) numbers[at + i + 1] = radius * Math.sin(angle);
    }
  });
  return numbers;
}

/** In (0, 1). */
const fraction = (word: number): number => (word + 0.5) / 2 ** 32;

function eachBlock(seed: number, name: string, count: number, use: (words: readonly number[], at: number) => void): void {
  const key = [hash(name, 0x811c9dc5), hash(name, 0x01234567)] as const;
  const [low, high] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
  for (let at = 0; at < count; at += 4) use(philox([(at / 4) >>> 0, 0, low, high], key), at);
}

/** FNV-1a over UTF-16 units, from a start of its own for each half of the key. */
function hash(name: string, start: number): number {
  let state = start;
  for (let i = 0; i < name.length; i++) state = Math.imul(state ^ name.charCodeAt(i), 0x01000193);
  return state >>> 0;
}
