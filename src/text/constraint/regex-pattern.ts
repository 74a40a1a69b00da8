/**
 * Reads regular expressions as JavaScript writes them (ECMA-262, unicode mode), as far as they are regular: no back references, no
 * lookbehind, no word edges. JSON Schema's `pattern` is this dialect. `text/regex-parse.ts` reads Oniguruma's, where classes mean other
 * characters.
 */
import { FrugalError } from "../../tensor/error.ts";
import {
  allCharacters,
  type CharacterSet,
  characterSet,
  noCharacters,
  oneCharacter,
  otherCharacters,
  propertySet,
  unionSets,
} from "./character-set.ts";

export type Pattern =
  | { readonly kind: "set"; readonly set: CharacterSet }
  | { readonly kind: "sequence"; readonly parts: readonly Pattern[] }
  | { readonly kind: "choice"; readonly options: readonly Pattern[] }
  | { readonly kind: "repeat"; readonly body: Pattern; readonly least: number; readonly most: number }
  | { readonly kind: "edge"; readonly at: "start" | "end" }
  /** What follows begins so, or does not. */
  | { readonly kind: "look"; readonly body: Pattern; readonly negative: boolean };

const space = characterSet([
  [9, 13],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
const digit = characterSet([[0x30, 0x39]]);
const word = characterSet([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]);
const notLineEnd = otherCharacters(
  characterSet([
    [10, 10],
    [13, 13],
    [0x2028, 0x2029],
  ]),
);
const classes: Readonly<Record<string, CharacterSet>> = {
  d: digit,
  D: otherCharacters(digit),
  w: word,
  W: otherCharacters(word),
  s: space,
  S: otherCharacters(space),
};
const controls: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };
const longestPattern = 20_000;
const deepestGroup = 200;
/** Counts beyond this are no honest pattern. */
const largestCount = 100_000;

/** @throws FRUGAL_BAD_ARGUMENT for what is no regular expression, FRUGAL_UNSUPPORTED for what no finite automaton can do. */
export function readPattern(source: string): Pattern {
  const fail = (what: string, at: number, code: "FRUGAL_BAD_ARGUMENT" | "FRUGAL_UNSUPPORTED" = "FRUGAL_BAD_ARGUMENT"): FrugalError =>
    new FrugalError(code, `regular expression: ${what} at character ${at} of ${JSON.stringify(source.slice(0, 200))}; change it`, { at });
  if (source.length > longestPattern) throw fail(`${source.length} characters are more than ${longestPattern}`, longestPattern);
  const points = Array.from(source);
  let at = 0;
  let depth = 0;

  function choice(): Pattern {
    if (++depth > deepestGroup) throw fail(`groups deeper than ${deepestGroup}`, at);
    const options = [sequence()];
    while (points[at] === "|") {
      at++;
      options.push(sequence());
    }
    depth--;
    return options.length === 1 ? options[0]! : { kind: "choice", options };
  }

  function sequence(): Pattern {
    const parts: Pattern[] = [];
    while (at < points.length && points[at] !== "|" && points[at] !== ")") parts.push(quantified(atom()));
    return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
  }

  function quantified(body: Pattern): Pattern {
    const mark = points[at];
    let [least, most] = [1, 1];
    if (mark === "*") [least, most] = [0, Infinity];
    else if (mark === "+") [least, most] = [1, Infinity];
    else if (mark === "?") [least, most] = [0, 1];
    else if (mark === "{") {
      const found = /^\{(\d{1,9})(,?)(\d{0,9})\}/u.exec(points.slice(at, at + 24).join(""));
      if (found === null) throw fail("a { that begins no count; write \\{", at);
      least = Number(found[1]);
      most = found[2] === "" ? least : found[3] === "" ? Infinity : Number(found[3]);
      if (least > largestCount || (most !== Infinity && most > largestCount)) throw fail(`a count beyond ${largestCount}`, at);
      if (most < least) throw fail("a count turned round", at);
      at += found[0].length - 1;
    } else return body;
    at++;
    if (body.kind === "edge" || body.kind === "look") throw fail("a quantifier on an assertion", at);
    if (points[at] === "?") at++; // lazy: the same texts match
    if (points[at] === "*" || points[at] === "+" || points[at] === "?" || points[at] === "{")
      throw fail("a quantifier on a quantifier", at);
    return { kind: "repeat", body, least, most };
  }

  function atom(): Pattern {
    const character = points[at++]!;
    if (character === "(") return group();
    if (character === "[") return { kind: "set", set: characterClass() };
    if (character === ".") return { kind: "set", set: notLineEnd };
    if (character === "^") return { kind: "edge", at: "start" };
    if (character === "$") return { kind: "edge", at: "end" };
    if ("*+?{}]".includes(character)) throw fail(`${character} stands alone; write \\${character}`, at - 1);
    if (character !== "\\") return { kind: "set", set: literal(character) };
    if (points[at] === "b" || points[at] === "B") throw fail("word edges are not supported", at, "FRUGAL_UNSUPPORTED");
    return { kind: "set", set: escape() };
  }

  function literal(character: string): CharacterSet {
    const set = oneCharacter(character.codePointAt(0)!);
    if (set.length === 0) throw fail("a lone surrogate", at - 1);
    return set;
  }

  function group(): Pattern {
    let look: "=" | "!" | undefined;
    if (points[at] === "?") {
      const rest = points.slice(at + 1, at + 80).join("");
      const named = /^<[A-Za-z_$][\w$]*>/u.exec(rest);
      if (rest.startsWith(":")) at += 2;
      else if (rest.startsWith("=") || rest.startsWith("!")) {
        look = rest.startsWith("=") ? "=" : "!";
        at += 2;
      } else if (named !== null) at += 1 + named[0].length;
      else throw fail("a kind of group that is not supported", at, "FRUGAL_UNSUPPORTED");
    }
    const inner = choice();
    if (points[at++] !== ")") throw fail("a group that is not closed", at - 1);
    return look === undefined ? inner : { kind: "look", body: inner, negative: look === "!" };
  }

  /** After a backslash. */
  function escape(): CharacterSet {
    const name = points[at++];
    if (name === undefined) throw fail("a backslash at the end", at - 1);
    if (classes[name] !== undefined) return classes[name];
    if (name === "0" && /\d/u.test(points[at] ?? "")) throw fail("an octal escape", at);
    if (controls[name] !== undefined) return oneCharacter(controls[name]);
    if (name === "p" || name === "P") {
      const found = /^\{([A-Za-z_]+(?:=[A-Za-z_]+)?)\}/u.exec(points.slice(at, at + 80).join(""));
      const set = found === null ? undefined : propertySet(found[1]!);
      if (set === undefined) throw fail("a property that JavaScript does not know", at);
      at += found![0].length;
      return name === "p" ? set : otherCharacters(set);
    }
    if (name === "c" && /[A-Za-z]/u.test(points[at] ?? "")) return oneCharacter(points[at++]!.codePointAt(0)! % 32);
    if (name === "x" || name === "u") return oneCharacter(code(name));
    if (/[1-9k]/u.test(name)) throw fail("back references are not supported", at - 1, "FRUGAL_UNSUPPORTED");
    if (/[A-Za-z]/u.test(name)) throw fail(`\\${name} is no escape`, at - 1);
    return literal(name);
  }

  function code(name: "x" | "u"): number {
    const rest = points.slice(at, at + 10).join("");
    const found =
      name === "x" ? /^([0-9A-Fa-f]{2})/u.exec(rest) : (/^\{([0-9A-Fa-f]{1,6})\}/u.exec(rest) ?? /^([0-9A-Fa-f]{4})/u.exec(rest));
    if (found === null) throw fail("a character code that is none", at);
    at += found[0].length;
    let point = Number.parseInt(found[1]!, 16);
    const low = /^\\u(d[c-f][0-9a-f]{2})/iu.exec(points.slice(at, at + 6).join(""));
    if (point >= 0xd800 && point < 0xdc00 && low !== null) {
      at += 6;
      point = 0x10000 + ((point - 0xd800) << 10) + (Number.parseInt(low[1]!, 16) - 0xdc00);
    }
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) throw fail("a code that is no character", at);
    return point;
  }

  /** After "[". */
  function characterClass(): CharacterSet {
    const negated = points[at] === "^";
    if (negated) at++;
    let set = noCharacters;
    for (;;) {
      const character = points[at++];
      if (character === undefined) throw fail("a class that is not closed", at - 1);
      if (character === "]") break;
      const from = character === "\\" ? classEscape() : literal(character);
      if (points[at] === "-" && points[at + 1] !== "]" && points[at + 1] !== undefined) {
        at++;
        const last = points[at++]!;
        const to = last === "\\" ? classEscape() : literal(last);
        if (!isOne(from) || !isOne(to) || from[0]! > to[0]!) throw fail("a range that is none", at - 1);
        set = unionSets(set, characterSet([[from[0]!, to[0]!]]));
      } else set = unionSets(set, from);
    }
    return negated ? otherCharacters(set) : set;
  }

  function classEscape(): CharacterSet {
    if (points[at] === "b") {
      at++;
      return oneCharacter(8);
    }
    return points[at] === "-" ? literal(points[at++]!) : escape();
  }

  const pattern = choice();
  if (at < points.length) throw fail("a ) without a (", at);
  return pattern;
}

const isOne = (set: CharacterSet): boolean => set.length === 2 && set[0] === set[1];

/** Any text whatever. */
export const anyText: Pattern = { kind: "repeat", body: { kind: "set", set: allCharacters }, least: 0, most: Infinity };
