/** Numbers for samples: the same in every run, and exactly representable in f32 so that every precision starts from the same ones. */
import type { Domain } from "../../src/ops/op.ts";
import type { ElementType } from "../../src/graph/value.ts";

/** Mulberry32: 0 to 1. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function numbersOf(domain: Domain, length: number, type: ElementType, seed: number): Float32Array | Int32Array {
  const next = random(seed);
  const data = type === "i32" ? new Int32Array(length) : new Float32Array(length);
  if (typeof domain === "object" && "exactly" in domain) {
    if (domain.exactly.length !== length) throw new Error(`sample: ${length} numbers wanted, ${domain.exactly.length} given`);
    data.set(domain.exactly);
    return data;
  }
  for (let i = 0; i < length; i++) {
    if (domain === "positive") data[i] = 0.5 + 1.5 * next();
    else if (domain === "normal") data[i] = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    else data[i] = Math.floor(next() * domain.below);
  }
  return data;
}
