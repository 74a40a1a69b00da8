/**
 * Regular languages over characters, as deterministic automata: unlike regular expressions they can be intersected and subtracted, which a
 * schema's `pattern`, `maxLength`, `allOf` and "any other property" need. Built by the subset construction (Rabin and Scott 1959).
 */
import { FrugalError } from "../../tensor/error.ts";
import { allCharacters, type CharacterSet, characterSet, intersectSets } from "./character-set.ts";
import type { Effort } from "./expression.ts";

export interface Language {
  /** Where each interval of characters begins; the first begins at 0. */
  readonly starts: readonly number[];
  /** The class of each interval: characters of a class are never told apart. */
  readonly classOf: Int32Array;
  readonly classes: number;
  /** The state after `state` and a class, at `state * classes + class`; -1 where no text of the language goes on so. State 0 is the first. */
  readonly next: Int32Array;
  readonly accepting: Uint8Array;
}

const mostStates = 50_000;

/** Everything that is to be told apart, as intervals and their classes. */
export function classesOf(sets: readonly CharacterSet[], work: Effort): Pick<Language, "starts" | "classOf" | "classes"> {
  const edges = new Set([0, 0xd800, 0xe000]);
  for (const set of sets) {
    work.spend(set.length);
    for (let i = 0; i < set.length; i += 2) edges.add(set[i]!).add(set[i + 1]! + 1);
  }
  edges.delete(0x110000);
  const starts = [...edges].sort((a, b) => a - b);
  // A set's intervals are found by one walk along both lists.
  const members = starts.map((): number[] => []);
  sets.forEach((set, index) => {
    let interval = 0;
    for (let i = 0; i < set.length; i += 2) {
      while (starts[interval]! < set[i]!) interval++;
      for (; interval < starts.length && starts[interval]! <= set[i + 1]!; interval++) {
        work.spend(1);
        members[interval]!.push(index);
      }
    }
  });
  return numbered(
    starts,
    members.map((list) => list.join()),
  );
}

function numbered(starts: readonly number[], keys: readonly (string | number)[]): Pick<Language, "starts" | "classOf" | "classes"> {
  const numbers = new Map<string | number, number>();
  const classOf = Int32Array.from(keys, (key) => {
    const known = numbers.get(key) ?? numbers.size;
    numbers.set(key, known);
    return known;
  });
  return { starts, classOf, classes: numbers.size };
}

/** The characters of each class. */
export function setsOf(language: Pick<Language, "starts" | "classOf" | "classes">): CharacterSet[] {
  const ranges = Array.from({ length: language.classes }, (): [number, number][] => []);
  language.starts.forEach((low, i) => ranges[language.classOf[i]!]!.push([low, (language.starts[i + 1] ?? 0x110000) - 1]));
  return ranges.map(characterSet);
}

/** Collects states by what they stand for, numbers them, and cuts those from which nothing is accepted. */
export function explore<State>(
  parts: Pick<Language, "starts" | "classOf" | "classes">,
  first: State,
  keyOf: (state: State) => string | number,
  step: (state: State, symbol: number) => State | undefined,
  accepts: (state: State) => boolean,
  work: Effort,
): Language {
  const numbers = new Map<string | number, number>([[keyOf(first), 0]]);
  const states = [first];
  const rows: Int32Array[] = [];
  for (let at = 0; at < states.length; at++) {
    const row = new Int32Array(parts.classes).fill(-1);
    for (let symbol = 0; symbol < parts.classes; symbol++) {
      work.spend(2);
      const to = step(states[at]!, symbol);
      if (to === undefined) continue;
      const key = keyOf(to);
      let number = numbers.get(key);
      if (number === undefined) {
        number = states.length;
        if (number >= mostStates)
          throw new FrugalError("FRUGAL_BAD_ARGUMENT", `constraint: a pattern needs more than ${mostStates} states; make it simpler`, {
            states: mostStates,
          });
        numbers.set(key, number);
        states.push(to);
      }
      row[symbol] = number;
    }
    rows.push(row);
  }
  return trimmed(
    parts,
    rows,
    Uint8Array.from(states, (state) => (accepts(state) ? 1 : 0)),
    work,
  );
}

/** Cuts the ways that lead to no accepting state, and the states that are reached no more. */
function trimmed(
  parts: Pick<Language, "starts" | "classOf" | "classes">,
  rows: readonly Int32Array[],
  accepting: Uint8Array,
  work: Effort,
): Language {
  const before = rows.map((): number[] => []);
  rows.forEach((row, from) => {
    work.spend(row.length);
    for (const to of new Set(row)) if (to >= 0) before[to]!.push(from);
  });
  const alive = accepting.slice();
  const open = [...accepting.keys()].filter((state) => alive[state] === 1);
  for (let state = open.pop(); state !== undefined; state = open.pop())
    for (const from of before[state]!)
      if (alive[from] === 0) {
        alive[from] = 1;
        open.push(from);
      }
  const numbers = new Int32Array(rows.length).fill(-1);
  let count = 1;
  for (let state = 1; state < rows.length; state++) if (alive[state] === 1) numbers[state] = count++;
  numbers[0] = 0;
  const next = new Int32Array(count * parts.classes).fill(-1);
  const kept = new Uint8Array(count);
  rows.forEach((row, state) => {
    const number = numbers[state]!;
    if (number < 0) return;
    kept[number] = accepting[state]!;
    row.forEach((to, symbol) => {
      if (to >= 0 && alive[to] === 1) next[number * parts.classes + symbol] = numbers[to]!;
    });
  });
  return { ...parts, next, accepting: kept };
}

export const isEmpty = (language: Language): boolean => !language.accepting.includes(1);

const classAt = (language: Language, point: number): number => {
  let [low, high] = [0, language.starts.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (language.starts[middle]! <= point) low = middle;
    else high = middle - 1;
  }
  return language.classOf[low]!;
};

export function accepts(language: Language, text: string): boolean {
  let state = 0;
  for (const character of text) {
    state = language.next[state * language.classes + classAt(language, character.codePointAt(0)!)]!;
    if (state < 0) return false;
  }
  return language.accepting[state] === 1;
}

/** Texts of `a` that `b` has too, or, with `without`, that it has not. */
export function combine(a: Language, b: Language, without: boolean, work: Effort): Language {
  const starts = [...new Set([...a.starts, ...b.starts])].sort((x, y) => x - y);
  const parts = numbered(
    starts,
    starts.map((point) => {
      work.spend(4);
      return classAt(a, point) * b.classes + classAt(b, point);
    }),
  );
  const sample = new Map<number, readonly [number, number]>();
  starts.forEach((point, i) => sample.set(parts.classOf[i]!, [classAt(a, point), classAt(b, point)]));
  const symbols = Array.from({ length: parts.classes }, (_, i) => sample.get(i)!);
  // In the second automaton -1 is a state too: that of texts which it does not have.
  const wide = b.accepting.length + 1;
  return explore(
    parts,
    [0, 0] as readonly [number, number],
    ([x, y]) => x * wide + y + 1,
    ([x, y], symbol): readonly [number, number] | undefined => {
      const [inA, inB] = symbols[symbol]!;
      const toA = a.next[x * a.classes + inA]!;
      const toB = y < 0 ? -1 : b.next[y * b.classes + inB]!;
      return toA < 0 || (toB < 0 && !without) ? undefined : [toA, toB];
    },
    ([x, y]) => a.accepting[x] === 1 && (y >= 0 && b.accepting[y] === 1) !== without,
    work,
  );
}

/** Texts of `least` to `most` characters. */
export function ofLength(least: number, most: number, work: Effort): Language {
  const parts = classesOf([allCharacters], work);
  const surrogates = parts.classOf[parts.starts.indexOf(0xd800)]!;
  const last = most === Infinity ? least : most;
  return explore(
    parts,
    0,
    (count) => count,
    (count, symbol) => (symbol === surrogates || (count === last && most !== Infinity) ? undefined : Math.min(count + 1, last)),
    (count) => count >= least,
    work,
  );
}

/** Exactly these texts. */
export function ofTexts(texts: readonly string[], work: Effort): Language {
  const used = new Set<number>();
  for (const value of texts) for (const character of value) used.add(character.codePointAt(0)!);
  const parts = classesOf(
    [...used].map((point) => [point, point]),
    work,
  );
  const probe: Language = { ...parts, next: new Int32Array(0), accepting: new Uint8Array(0) };
  interface Branch {
    readonly id: number;
    readonly to: Map<number, Branch>;
    ends: boolean;
  }
  let count = 0;
  const root: Branch = { id: count++, to: new Map(), ends: false };
  for (const value of texts) {
    let branch = root;
    for (const character of value) {
      const symbol = classAt(probe, character.codePointAt(0)!);
      let following = branch.to.get(symbol);
      if (following === undefined) branch.to.set(symbol, (following = { id: count++, to: new Map(), ends: false }));
      branch = following;
    }
    branch.ends = true;
  }
  return explore(
    parts,
    root,
    (branch) => branch.id,
    (branch, symbol) => branch.to.get(symbol),
    (branch) => branch.ends,
    work,
  );
}

/** Whether the state reads every character of `set` and stays where it is. */
export function staysOn(language: Language, state: number, set: CharacterSet): boolean {
  return language.starts.every((low, i) => {
    if (language.next[state * language.classes + language.classOf[i]!] === state) return true;
    return intersectSets([low, (language.starts[i + 1] ?? 0x110000) - 1], set).length === 0;
  });
}
