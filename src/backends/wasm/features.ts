/** What this engine's WebAssembly can do, found by asking it whether it takes small modules. */

/** A module of one function without arguments and results, that makes a vector of zeros three times over and does `instruction` with them. */
const withVectors = (...instruction: number[]): Uint8Array<ArrayBuffer> => {
  const zero = [0xfd, 0x0c, ...new Array<number>(16).fill(0)];
  const body = [0x00, ...zero, ...zero, ...zero, ...instruction, 0x1a, 0x0b];
  const section = (id: number, content: number[]): number[] => [id, content.length, ...content];
  return Uint8Array.from([
    0x00,
    0x61,
    0x73,
    0x6d,
    0x01,
    0x00,
    0x00,
    0x00,
    ...section(1, [1, 0x60, 0, 0]),
    ...section(3, [1, 0]),
    ...section(10, [1, body.length, ...body]),
  ]);
};

/** Vectors of 128 bits: `v128.bitselect` takes three. */
export const hasSimd = (): boolean => WebAssembly.validate(withVectors(0xfd, 0x52));

/** `f32x4.relaxed_madd`, and with it the products of bytes. */
export const hasRelaxedSimd = (): boolean => WebAssembly.validate(withVectors(0xfd, 0x85, 0x02));
