/**
 * Keeps special tokens that stand in a conversation from becoming special ids once a template has wrapped it: where an untrusted
 * string holds one, or a part of one that could be completed by what comes before or after it, a guard character goes between
 * its characters. The guard occurs nowhere else; the tokenizer drops it after the special tokens have been found.
 */
import { FrugalError } from "../tensor/error.ts";

export interface Neutraliser {
  /** The character in question: one that occurs in none of the texts. */
  readonly guard: string;
  /** `value` with every string in it neutralised; keys of records stay. Shared and cyclic structure is refused at 64 levels. */
  apply(value: unknown): unknown;
}

/** A part of a special token this long is broken wherever it stands; shorter ones only at a string's edges. */
const tellingLength = 3;
const deepest = 64;

/**
 * Prepared once for all conversations: a vocabulary may have thousands of special tokens.
 * @param specials the special tokens. @param always texts the guard must not occur in; those of a conversation come on top.
 */
export function neutraliser(specials: readonly string[], always: readonly string[]): (texts: Iterable<string>) => Neutraliser {
  const taken = privateCharacters([...specials, ...always]);
  const forward = prefixTree(specials.map((special) => Array.from(special)));
  const backward = prefixTree(specials.map((special) => Array.from(special).reverse()));
  const longest = specials.reduce((most, special) => Math.max(most, special.length), 0);

  const neutralise = (text: string, isKey: boolean, guard: string): string => {
    const points = Array.from(text);
    const first = points.findIndex((point) => !isSpace(point));
    if (first < 0) return text;
    let last = points.length - 1;
    while (isSpace(points[last]!)) last--;
    const cuts = new Set<number>(); // a guard goes before these characters
    for (let at = 0; at < points.length; at++) {
      const starts = depth(forward, points, at, 1);
      // A whole token, a telling beginning of one, or any beginning that runs to the edge.
      if (starts.length >= tellingLength || starts.whole || (starts.length > 0 && at + starts.length > last)) cuts.add(at + 1);
      const ends = depth(backward, points, at, -1);
      if (ends.length >= tellingLength || (ends.length > 0 && at - ends.length < first)) cuts.add(at);
    }
    const core = points.slice(first, last + 1).join("");
    // What a template might put its own marks around. Keys are never printed so, and templates ask for them.
    if (!isKey && core.length <= longest && specials.some((special) => special.indexOf(core, 1) > 0 && !special.endsWith(core)))
      cuts.add(first + 1);
    if (cuts.size === 0) return text;
    return points.map((point, at) => (cuts.has(at) ? guard + point : point)).join("") + (cuts.has(points.length) ? guard : "");
  };
  const apply = (value: unknown, level: number, guard: string): unknown => {
    if (typeof value === "string") return neutralise(value, false, guard);
    if (typeof value !== "object" || value === null) return value;
    if (level > deepest)
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `chat: a message nests deeper than ${deepest} levels; flatten it`, { deepest });
    if (Array.isArray(value)) return value.map((item) => apply(item, level + 1, guard));
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        neutralise(key, true, guard),
        typeof item === "string" && structural(key, item) ? item : apply(item, level + 1, guard),
      ]),
    );
  };
  return (texts) => {
    const guard = freeCharacter(new Set([...taken, ...privateCharacters(texts)]));
    return { guard, apply: (value) => apply(value, 0, guard) };
  };
}

/** Values that templates compare with, and that are checked elsewhere or harmless. */
const structural = (key: string, value: string): boolean =>
  key === "role" ||
  (key === "type" &&
    /^(?:function|text|image|image_url|input_image|audio|input_audio|video|video_url|document|object|string|number|integer|boolean|array|null)$/u.test(
      value,
    ));

const isSpace = (point: string): boolean => /^\s$/u.test(point);

interface Tree {
  readonly next: Map<string, Tree>;
  whole: boolean;
}

function prefixTree(words: readonly (readonly string[])[]): Tree {
  const root: Tree = { next: new Map(), whole: false };
  for (const word of words) {
    let tree = root;
    for (const point of word) {
      let child = tree.next.get(point);
      if (child === undefined) tree.next.set(point, (child = { next: new Map(), whole: false }));
      tree = child;
    }
    if (word.length > 0) tree.whole = true;
  }
  return root;
}

/** How far into the tree the characters lead from `at` on, and whether past the end of a word. */
function depth(tree: Tree, points: readonly string[], at: number, step: 1 | -1): { length: number; whole: boolean } {
  let length = 0;
  let whole = false;
  let node: Tree | undefined = tree;
  for (let i = at; i >= 0 && i < points.length; i += step) {
    node = node.next.get(points[i]!);
    if (node === undefined) break;
    length++;
    whole ||= node.whole;
  }
  return { length, whole };
}

/** The private-use characters in texts. */
function privateCharacters(texts: Iterable<string>): Set<string> {
  const used = new Set<string>();
  for (const text of texts) {
    for (const point of text.match(/[\ue000-\uf8ff]/gu) ?? []) used.add(point);
    // In JSON's spelling too, because a template may write JSON in ASCII.
    for (const [, code] of text.matchAll(/\\u([ef][0-9a-f]{3})/giu)) used.add(String.fromCharCode(Number.parseInt(code!, 16)));
  }
  return used;
}

/** A private-use character that is none of these. */
function freeCharacter(used: ReadonlySet<string>): string {
  for (let point = 0xe000; point <= 0xf8ff; point++) {
    const character = String.fromCharCode(point);
    if (!used.has(character)) return character;
  }
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    "chat: the messages use all 6,400 private-use characters, of which one must be free; remove some",
    {},
  );
}
