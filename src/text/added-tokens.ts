/** Tokens that are found in the text before anything else happens to it: special ones, and whole strings a vocabulary adds. */

export interface AddedToken {
  readonly id: number;
  readonly text: string;
  /** Only the caller may ask for these; text never becomes one by itself. */
  readonly special: boolean;
  /** Spaces before or after belong to it. */
  readonly leftStrip?: boolean;
  readonly rightStrip?: boolean;
  /** Only where no word character stands beside it. */
  readonly singleWord?: boolean;
}

/** Which of the tokens count. */
export type Wanted = "plain" | "special" | "all";

export interface AddedTokens {
  readonly tokens: readonly AddedToken[];
  /** Calls `onToken` and `onText` in the order of the text: the leftmost token first, of those the longest. Text is never empty. */
  split(text: string, wanted: Wanted, onText: (text: string, start: number) => void, onToken: (id: number) => void): void;
}

interface Node {
  next?: Map<number, Node>;
  token?: AddedToken;
}

const wordCharacter = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/v;

/** @param list asked once, when first needed: decoding the names of Gemma's 6,414 special pieces is a tenth of its loading time. */
export function addedTokens(list: () => readonly AddedToken[]): AddedTokens {
  let listed: readonly AddedToken[] | undefined;
  const all = (): readonly AddedToken[] => (listed ??= list());
  const tries: Partial<Record<Wanted, Node>> = {};
  const trieOf = (wanted: Wanted): Node =>
    (tries[wanted] ??= trie(all().filter((token) => wanted === "all" || token.special === (wanted === "special"))));
  return {
    get tokens() {
      return all();
    },
    split(text, wanted, onText, onToken) {
      const root = trieOf(wanted);
      let start = 0;
      for (let at = 0; root.next !== undefined && at < text.length; at++) {
        let node = root.next.get(text.charCodeAt(at));
        if (node === undefined) continue;
        let found: AddedToken | undefined;
        for (let i = at + 1; node !== undefined; i++) {
          if (node.token !== undefined && fits(node.token, text, at)) found = node.token;
          node = i < text.length ? node.next?.get(text.charCodeAt(i)) : undefined;
        }
        if (found === undefined) continue;
        let before = at;
        let after = at + found.text.length;
        if (found.leftStrip === true) while (before > start && isSpace(text, before - 1)) before--;
        if (found.rightStrip === true) while (after < text.length && isSpace(text, after)) after++;
        if (before > start) onText(text.slice(start, before), start);
        onToken(found.id);
        start = after;
        at = after - 1;
      }
      if (start < text.length) onText(start === 0 ? text : text.slice(start), start);
    },
  };
}

function trie(tokens: readonly AddedToken[]): Node {
  const root: Node = {};
  for (const token of tokens) {
    if (token.text === "") continue;
    let node = root;
    for (let i = 0; i < token.text.length; i++) {
      const code = token.text.charCodeAt(i);
      node.next ??= new Map();
      let child = node.next.get(code);
      if (child === undefined) node.next.set(code, (child = {}));
      node = child;
    }
    node.token ??= token;
  }
  return root;
}

function fits(token: AddedToken, text: string, at: number): boolean {
  if (token.singleWord !== true) return true;
  const end = at + token.text.length;
  const wide = at > 1 && (text.charCodeAt(at - 1) & 0xfc00) === 0xdc00;
  const before = at === 0 ? "" : text.slice(at - (wide ? 2 : 1), at);
  const after = end < text.length ? String.fromCodePoint(text.codePointAt(end)!) : "";
  return !wordCharacter.test(before) && !wordCharacter.test(after);
}

const isSpace = (text: string, at: number): boolean => /\p{White_Space}/v.test(text[at]!);
