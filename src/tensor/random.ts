/** Random numbers without a stream: the same (seed, position) gives the same number, whoever asks and in whatever order. */

const multiplierA = 0xd2511f53;
const multiplierB = 0xcd9e8d57;
const weylA = 0x9e3779b9;
const weylB = 0xbb67ae85;

/** The upper 32 bits of a 32 x 32 bit product. */
function upperProduct(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle % 0x10000);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/**
 * Philox 4x32 with ten rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011, section 3.3): four 32-bit words of a
 * 128-bit counter under a 64-bit key.
 */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [a, b, c, d] = counter;
  let [keyA, keyB] = key;
  for (let round = 0; round < 10; round++) {
    const highA = upperProduct(multiplierA, a);
    const lowA = Math.imul(multiplierA, a) >>> 0;
    const highB = upperProduct(multiplierB, c);
    const lowB = Math.imul(multiplierB, c) >>> 0;
    [a, b, c, d] = [(highB ^ b ^ keyA) >>> 0, lowB, (highA ^ d ^ keyB) >>> 0, lowA];
    keyA = (keyA + weylA) >>> 0;
    keyB = (keyB + weylB) >>> 0;
  }
  return [a, b, c, d];
}

/** A number in [0, 1) with 53 random bits, for the token at `position` of a text written with `seed` (a whole number up to 2^53). */
export function uniform(seed: number, position: number): number {
  const [a, b] = philox([position >>> 0, Math.floor(position / 2 ** 32) >>> 0, 0, 0], [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0]);
  return ((a >>> 5) * 0x4000000 + (b >>> 6)) / 2 ** 53;
}
