/**
 * Reads the regular expressions of tokenizer files. They are written for Oniguruma (and Rust), where `\s`, `\w`, `\d`, `\b`, `^`, `$`
 * and `.` mean other characters than in JavaScript, and which has possessive quantifiers, atomic groups and inline flags.
 */
import { FrugalError } from "../tensor/error.ts";

export type RegexNode =
  | { readonly kind: "set"; readonly source: string } // one character, as a class of JavaScript's `v` syntax
  | { readonly kind: "sequence"; readonly nodes: readonly RegexNode[] }
  | { readonly kind: "choice"; readonly nodes: readonly RegexNode[] }
  | {
      readonly kind: "repeat";
      readonly node: RegexNode;
      readonly least: number;
      readonly most: number;
      readonly mode: "greedy" | "lazy" | "possessive";
    }
  | { readonly kind: "look"; readonly node: RegexNode; readonly ahead: boolean; readonly negative: boolean }
  | { readonly kind: "atomic"; readonly node: RegexNode }
  | { readonly kind: "place"; readonly at: Place };

export type Place = "line start" | "line end" | "text start" | "text end" | "last line end" | "word edge" | "no word edge";

/** `\w` as Oniguruma has it: six digits and fractions of Latin-1 are word characters there, others of their category are not. */
export const wordCharacters = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xb2\\xb3\\xb9\\xbc-\\xbe]";
const shorthand: Readonly<Record<string, string>> = {
  s: "\\p{White_Space}",
  S: "\\P{White_Space}",
  d: "\\p{Nd}",
  D: "\\P{Nd}",
  w: wordCharacters,
  W: `[^${wordCharacters}]`,
  h: "[0-9a-fA-F]",
  H: "[^0-9a-fA-F]",
};
const places: Readonly<Record<string, Place>> = { A: "text start", z: "text end", Z: "last line end", b: "word edge", B: "no word edge" };
const controls: Readonly<Record<string, string>> = { t: "\t", n: "\n", r: "\r", f: "\f", v: "\v", a: "\x07", e: "\x1b" };
const longestPattern = 20_000;
const deepestGroup = 100;

/** @throws FRUGAL_UNSUPPORTED for what cannot be translated exactly, FRUGAL_BAD_FILE for a pattern that is none. */
export function parseRegex(pattern: string): RegexNode {
  const fail = (what: string, at: number, code: "FRUGAL_BAD_FILE" | "FRUGAL_UNSUPPORTED" = "FRUGAL_BAD_FILE"): FrugalError =>
    new FrugalError(code, `tokenizer pattern: ${what} at character ${at} of ${JSON.stringify(pattern.slice(0, 200))}`, { at });
  if (pattern.length > longestPattern) throw fail(`${pattern.length} characters are more than ${longestPattern}`, longestPattern);
  const points = Array.from(pattern);
  let at = 0;
  let depth = 0;
  let ignoreCase = false;

  const literal = (character: string): string =>
    ignoreCase ? `[${caseVariants(character).map(escapeCharacter).join("")}]` : escapeCharacter(character);

  function choice(): RegexNode {
    if (++depth > deepestGroup) throw fail(`groups deeper than ${deepestGroup}`, at, "FRUGAL_UNSUPPORTED");
    const outer = ignoreCase;
    const nodes = [sequence()];
    while (points[at] === "|") {
      at++;
      nodes.push(sequence());
    }
    ignoreCase = outer;
    depth--;
    return nodes.length === 1 ? nodes[0]! : { kind: "choice", nodes };
  }

  function sequence(): RegexNode {
    const nodes: RegexNode[] = [];
    while (at < points.length && points[at] !== "|" && points[at] !== ")") {
      const node = atom();
      if (node !== undefined) nodes.push(quantified(node));
    }
    return nodes.length === 1 ? nodes[0]! : { kind: "sequence", nodes };
  }

  function quantified(node: RegexNode): RegexNode {
    for (;;) {
      let least: number;
      let most: number;
      const mark = points[at];
      if (mark === "*") [least, most] = [0, Infinity];
      else if (mark === "+") [least, most] = [1, Infinity];
      else if (mark === "?") [least, most] = [0, 1];
      else if (mark === "{") {
        const found = /^\{(\d*)(,?)(\d*)\}/u.exec(points.slice(at, at + 16).join(""));
        if (found === null || (found[1] === "" && found[3] === "")) return node;
        least = found[1] === "" ? 0 : Number(found[1]);
        most = found[2] === "" ? least : found[3] === "" ? Infinity : Number(found[3]);
        if (least > 1000 || (most > 1000 && most !== Infinity) || most < least)
          throw fail("a count beyond 1000 or turned round", at, "FRUGAL_UNSUPPORTED");
        at += found[0].length - 1;
      } else return node;
      at++;
      if (node.kind === "place" || node.kind === "look") throw fail("a quantifier on an assertion", at, "FRUGAL_UNSUPPORTED");
      // After {n,m}, Oniguruma reads "+" as another quantifier and not as possessive.
      const possessive = points[at] === "+" && mark !== "{";
      const mode = possessive ? "possessive" : points[at] === "?" ? "lazy" : "greedy";
      if (mode !== "greedy") at++;
      node = { kind: "repeat", node, least, most, mode };
    }
  }

  function atom(): RegexNode | undefined {
    const character = points[at++]!;
    if (character === "(") return group();
    if (character === "[") return { kind: "set", source: characterClass() };
    if (character === ".") return { kind: "set", source: "[^\\n]" };
    if (character === "^") return { kind: "place", at: "line start" };
    if (character === "$") return { kind: "place", at: "line end" };
    if (character === "*" || character === "+" || character === "?") throw fail("a quantifier without a target", at - 1);
    if (character === "\\") {
      const name = points[at];
      if (name !== undefined && places[name] !== undefined) {
        at++;
        return { kind: "place", at: places[name] };
      }
      return { kind: "set", source: setSource(escape()) };
    }
    return { kind: "set", source: setSource(literal(character)) };
  }

  function group(): RegexNode | undefined {
    let wrap = (node: RegexNode): RegexNode => node;
    const outer = ignoreCase;
    if (points[at] === "?") {
      const rest = points.slice(at + 1, at + 12).join("");
      const look = /^(<?)([=!])/u.exec(rest);
      const flags = /^([a-z]*)(?:-([a-z]*))?([:)])/u.exec(rest);
      const name = /^(?:P?<[A-Za-z_]\w*>)/u.exec(points.slice(at + 1, at + 64).join(""));
      if (look !== null) {
        at += 1 + look[0].length;
        wrap = (node) => ({ kind: "look", node, ahead: look[1] === "", negative: look[2] === "!" });
      } else if (rest.startsWith(">")) {
        at += 2;
        wrap = (node) => ({ kind: "atomic", node });
      } else if (name !== null) {
        at += 1 + name[0].length;
      } else if (flags !== null && /^[i]*$/u.test(flags[1]! + (flags[2] ?? ""))) {
        at += 1 + flags[0].length;
        const before = ignoreCase;
        if (flags[1]!.includes("i")) ignoreCase = true;
        if (flags[2]?.includes("i") === true) ignoreCase = false;
        if (flags[3] === ")") return undefined; // holds to the end of the enclosing group, which restores it
        const inner = choice();
        ignoreCase = before;
        return close(inner, (node) => node);
      } else throw fail("a kind of group that is not supported", at, "FRUGAL_UNSUPPORTED");
    }
    const inner = choice();
    ignoreCase = outer;
    return close(inner, wrap);
  }

  function close(node: RegexNode, wrap: (node: RegexNode) => RegexNode): RegexNode {
    if (points[at++] !== ")") throw fail("a group that is not closed", at - 1);
    return wrap(node);
  }

  /** After a backslash: the source of a character or a class. */
  function escape(): string {
    const name = points[at++];
    if (name === undefined) throw fail("a backslash at the end", at - 1);
    if (shorthand[name] !== undefined) return shorthand[name];
    if (controls[name] !== undefined) return escapeCharacter(controls[name]);
    if (name === "p" || name === "P") {
      const found = /^\{(\^?)([A-Za-z_ -]+)\}/u.exec(points.slice(at, at + 48).join(""));
      if (found === null) throw fail("a property without a name", at);
      const source = propertySource(found[2]!);
      if (source === undefined) throw fail(`unknown property ${found[2]}`, at, "FRUGAL_UNSUPPORTED");
      at += found[0].length;
      return `\\${(name === "P") !== (found[1] === "^") ? "P" : "p"}{${source}}`;
    }
    if (name === "x" || name === "u" || name === "U") {
      const text = points.slice(at, at + 12).join("");
      const found = /^\{([0-9A-Fa-f]{1,6})\}/u.exec(text) ?? (name === "x" ? /^([0-9A-Fa-f]{1,2})/u : /^([0-9A-Fa-f]{4})/u).exec(text);
      const point = found === null ? -1 : Number.parseInt(found[1]!, 16);
      if (found === null || point > 0x10ffff) throw fail("a character code that is none", at);
      at += found[0].length;
      return literal(String.fromCodePoint(point));
    }
    if (/[A-Za-z0-9]/u.test(name)) throw fail(`the escape \\${name} is not supported`, at - 1, "FRUGAL_UNSUPPORTED");
    return literal(name);
  }

  /** After "[": the whole class, in JavaScript's `v` syntax. */
  function characterClass(): string {
    if (++depth > deepestGroup) throw fail(`classes deeper than ${deepestGroup}`, at, "FRUGAL_UNSUPPORTED");
    const negated = points[at] === "^";
    if (negated) at++;
    const operands: string[] = [];
    let items = "";
    for (let first = true; ; first = false) {
      const character = points[at++];
      if (character === undefined) throw fail("a class that is not closed", at - 1);
      if (character === "]" && !first) break;
      if (character === "&" && points[at] === "&") {
        at++;
        operands.push(items);
        items = "";
      } else if (character === "[") {
        if (points[at] === ":") throw fail("a POSIX bracket", at, "FRUGAL_UNSUPPORTED");
        items += characterClass();
      } else {
        const from = character === "\\" ? escape() : literal(character);
        if (points[at] !== "-" || points[at + 1] === "]" || points[at + 1] === undefined) {
          items += from;
          continue;
        }
        at++;
        const last = points[at++]!;
        const to = last === "\\" ? escape() : literal(last);
        const [a, b] = [singlePoint(from), singlePoint(to)];
        if (a === undefined || b === undefined || last === "[" || a > b) throw fail("a range that is none", at - 1, "FRUGAL_UNSUPPORTED");
        items += `${escapeCharacter(String.fromCodePoint(a))}-${escapeCharacter(String.fromCodePoint(b))}`;
        if (ignoreCase)
          for (let point = a; point <= Math.min(b, a + 2000); point++)
            items += caseVariants(String.fromCodePoint(point)).map(escapeCharacter).join("");
      }
    }
    depth--;
    operands.push(items);
    const inner = operands.length === 1 ? items : operands.map((operand) => `[${operand}]`).join("&&");
    return `[${negated ? "^" : ""}${inner}]`;
  }

  const node = choice();
  if (at < points.length) throw fail("a closing bracket without an opening one", at);
  return node;
}

const setSource = (source: string): string => (source.startsWith("[") ? source : `[${source}]`);

function escapeCharacter(character: string): string {
  return /^[A-Za-z0-9 ]$/u.test(character) ? character : `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

/** The only character of a source made by `escapeCharacter`, or of a case-folded class. */
function singlePoint(source: string): number | undefined {
  const inner = source.startsWith("[") ? source.slice(1, -1) : source;
  const found = /^(?:\\u\{([0-9a-f]+)\}|([A-Za-z0-9 ]))/u.exec(inner);
  if (found === null || (inner === source && found[0].length !== source.length)) return undefined;
  return found[1] === undefined ? found[2]!.codePointAt(0) : Number.parseInt(found[1], 16);
}

/** The character first, then those equal to it when case is ignored. */
function caseVariants(character: string): string[] {
  const variants = new Set([character]);
  for (const other of [character.toLowerCase(), character.toUpperCase()]) if (Array.from(other).length === 1) variants.add(other);
  if (/^[sS\u017f]$/u.test(character)) for (const other of "sS\u017f") variants.add(other);
  if (/^[kK\u212a]$/u.test(character)) for (const other of "kK\u212a") variants.add(other);
  return [...variants];
}

/** A property's name as JavaScript writes it. */
function propertySource(name: string): string | undefined {
  for (const candidate of [name, `Script=${name}`]) {
    try {
      new RegExp(`\\p{${candidate}}`, "v");
      return candidate;
    } catch {
      // not a property under this name
    }
  }
  return undefined;
}
