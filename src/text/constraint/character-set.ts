/** Sets of Unicode characters as sorted ranges: what regular expressions, grammars and JSON strings are made of. Surrogates are in no set: they have no UTF-8. */

/** Inclusive ranges, flat: `[low, high, low, high, ...]`, sorted, neither touching nor overlapping. */
export type CharacterSet = readonly number[];

const lastPoint = 0x10ffff;

export const noCharacters: CharacterSet = [];
export const allCharacters: CharacterSet = [0, 0xd7ff, 0xe000, lastPoint];

/** The set of these inclusive ranges, in any order, overlapping or not; surrogates are left out. */
export function characterSet(ranges: readonly (readonly [low: number, high: number])[]): CharacterSet {
  const sorted = ranges.filter(([low, high]) => low <= high).toSorted((a, b) => a[0] - b[0]);
  const merged: number[] = [];
  for (const [low, high] of sorted) {
    const end = merged.length - 1;
    if (end > 0 && low <= merged[end]! + 1) merged[end] = Math.max(merged[end]!, high);
    else merged.push(low, high);
  }
  return intersectSets(merged, allCharacters);
}

export const oneCharacter = (point: number): CharacterSet => characterSet([[point, point]]);

export function unionSets(a: CharacterSet, b: CharacterSet): CharacterSet {
  return characterSet([...pairs(a), ...pairs(b)]);
}

export function intersectSets(a: CharacterSet, b: CharacterSet): CharacterSet {
  const common: number[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const low = Math.max(a[i]!, b[j]!);
    const high = Math.min(a[i + 1]!, b[j + 1]!);
    if (low <= high) common.push(low, high);
    if (a[i + 1]! < b[j + 1]!) i += 2;
    else j += 2;
  }
  return common;
}

/** All characters that are not in the set. */
export function otherCharacters(set: CharacterSet): CharacterSet {
  const gaps: number[] = [];
  let from = 0;
  for (const [low, high] of pairs(set)) {
    if (low > from) gaps.push(from, low - 1);
    from = high + 1;
  }
  if (from <= lastPoint) gaps.push(from, lastPoint);
  return intersectSets(gaps, allCharacters);
}

export const minusSet = (a: CharacterSet, b: CharacterSet): CharacterSet => intersectSets(a, otherCharacters(b));

export const includesSet = (outer: CharacterSet, inner: CharacterSet): boolean => minusSet(inner, outer).length === 0;

export function hasCharacter(set: CharacterSet, point: number): boolean {
  for (let i = 0; i < set.length; i += 2) if (point <= set[i + 1]!) return point >= set[i]!;
  return false;
}

export function* pairs(set: CharacterSet): Generator<readonly [low: number, high: number]> {
  for (let i = 0; i < set.length; i += 2) yield [set[i]!, set[i + 1]!];
}

/** The characters of which JavaScript's `\p{name}` is true, or undefined where it knows no such property. About 30 ms: a million characters are asked. */
export function propertySet(name: string): CharacterSet | undefined {
  let pattern: RegExp;
  try {
    pattern = new RegExp(`^\\p{${name}}$`, "u");
  } catch {
    return undefined;
  }
  const ranges: [number, number][] = [];
  for (let point = 0; point <= lastPoint; point++) {
    if (point >= 0xd800 && point <= 0xdfff) continue;
    if (!pattern.test(String.fromCodePoint(point))) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === point - 1) last[1] = point;
    else ranges.push([point, point]);
  }
  return characterSet(ranges);
}

/** Characters that stand for themselves in JSON strings and in nearly every other text: a text's words are made of them. */
export const plainCharacters: CharacterSet = minusSet(
  characterSet([[0x20, lastPoint]]),
  characterSet([
    [0x22, 0x22],
    [0x5c, 0x5c],
    [0x7f, 0x85],
    [0x2028, 0x2029],
  ]),
);
