/**
 * How alike two texts are without comparing them: MinHash. Broder, "On the resemblance and containment of documents", 1997.
 * The least hash of a set under a random function is the same for two sets with a probability that is their resemblance
 * |A and B| / |A or B| (Jaccard); so the share of equal entries in two signatures estimates it, with a deviation of sqrt(J (1 - J) / entries).
 */

/** Letters and digits between others; in scripts without spaces, single characters. */
const word =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[[\p{L}\p{M}\p{N}]--[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]]+/gv;

/** 32-bit hashes of a text's runs of `words` words, each once, ascending. Case and punctuation do not count; a shorter text is one run. */
export function shingles(text: string, words: number): Uint32Array {
  const all = text.toLowerCase().match(word) ?? [];
  const found = new Set<number>();
  for (let start = 0; start === 0 || start + words <= all.length; start++)
    if (all.length > 0) found.add(hashText(all.slice(start, start + words).join(" ")));
  return Uint32Array.from(found).sort();
}

/** The Jaccard resemblance of two ascending lists, exactly; 1 for two empty ones. */
export function resemblance(a: Uint32Array, b: Uint32Array): number {
  let [i, j, common] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const [x, y] = [a[i]!, b[j]!];
    if (x === y) common++;
    if (x <= y) i++;
    if (y <= x) j++;
  }
  const union = a.length + b.length - common;
  return union === 0 ? 1 : common / union;
}

/** The least of `entries` different hashes over the set; all ones for an empty one. */
export function signature(set: Uint32Array, entries: number, seed: number): Uint32Array {
  const least = new Uint32Array(entries).fill(0xffffffff);
  for (let k = 0; k < entries; k++) {
    const key = scrambled((seed ^ Math.imul(k + 1, 0x9e3779b9)) >>> 0);
    for (const element of set) {
      const hash = scrambled((element ^ key) >>> 0);
      if (hash < least[k]!) least[k] = hash;
    }
  }
  return least;
}

/** The share of equal entries. */
export function estimate(a: Uint32Array, b: Uint32Array): number {
  let equal = 0;
  for (let k = 0; k < a.length; k++) if (a[k] === b[k]) equal++;
  return equal / a.length;
}

/** The finaliser of MurmurHash3: a permutation of 32-bit numbers in which every bit depends on every other. */
function scrambled(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** FNV-1a over UTF-16, scrambled. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return scrambled(hash >>> 0);
}
