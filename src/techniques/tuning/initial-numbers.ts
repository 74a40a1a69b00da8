/** First numbers of added weights: each a function of seed, the weight's name, and the place in it, so that adding a weight changes no other. */
import { philox } from "../../tensor/random.ts";
import { type Shape, size } from "../../tensor/shape.ts";

export const zeros = (shape: Shape): Float32Array => new Float32Array(size(shape));
export const filledWith = (shape: Shape, value: number): Float32Array => new Float32Array(size(shape)).fill(value);

/** Normal numbers around 0. */
export function normalNumbers(seed: number, name: string, shape: Shape, deviation: number): Float32Array {
  const numbers = new Float32Array(size(shape));
  const random = drawing(seed, name);
  for (let i = 0; i < numbers.length; i++) {
    const [a, b] = random(i);
    numbers[i] = deviation * Math.sqrt(-2 * Math.log(1 - a)) * Math.cos(2 * Math.PI * b);
  }
  return numbers;
}

/** Even numbers from −bound to bound. */
export function evenNumbers(seed: number, name: string, shape: Shape, bound: number): Float32Array {
  const random = drawing(seed, name);
  return Float32Array.from({ length: size(shape) }, (_, i) => bound * (2 * random(i)[0] - 1));
}

/** Whole numbers below a limit. */
export function idsBelow(seed: number, name: string, count: number, limit: number): Int32Array {
  const random = drawing(seed, name);
  return Int32Array.from({ length: count }, (_, i) => Math.floor(random(i)[0] * limit));
}

/** Two numbers in [0, 1) for each place. */
function drawing(seed: number, name: string): (place: number) => readonly [number, number] {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0] as const;
  return (place) => {
    // The last word keeps these numbers apart from those of sampling, which leave it 0.
    const [a, b] = philox([place >>> 0, Math.floor(place / 2 ** 32) >>> 0, hash >>> 0, 1], key);
    return [a / 2 ** 32, b / 2 ** 32];
  };
}
