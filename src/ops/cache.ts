/** Keys and values that sequences keep between runs, in pages of fixed size. The reference's version; backends store theirs as they like. */

/** Tokens a page holds. */
export const pageSize = 32;

/** What one layer keeps of one token. */
export interface CacheLayer {
  readonly heads: number;
  readonly keySize: number;
  readonly valueSize: number;
}

/** Which layer of the cache an op uses, and what it keeps there. */
export interface CacheUse extends CacheLayer {
  readonly index: number;
  /** Which of the op's inputs is the page table. */
  readonly pageTable: number;
}

/** Rows of keys and values of every layer; row of token t of a sequence: `pages[t / pageSize] * pageSize + t % pageSize`. */
export interface CacheState {
  layer(index: number, shape: CacheLayer): KeptLayer;
}

/** Of one layer: `[pages * pageSize, heads * size]`. */
export interface KeptLayer<Numbers = Float32Array | Float64Array> {
  readonly pages: number;
  readonly keys: Numbers;
  readonly values: Numbers;
}
