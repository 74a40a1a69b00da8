/**
 * Reads grammars as llama.cpp writes them (GBNF): `name ::= "text" [a-z]+ other | (a b)? .{1,3}`, comments after `#`, the first rule to fulfil
 * being `root`. An alternative may also begin a line of its own. References to tokens (`<...>`) are not read.
 */
import { FrugalError, nearest } from "../../tensor/error.ts";
import { allCharacters, type CharacterSet, characterSet, noCharacters, otherCharacters, unionSets } from "./character-set.ts";
import { characters, choice as choiceOf, type Expression, type Grammar, repeat, sequence as sequenceOf, text } from "./expression.ts";

const longest = 1_000_000;
const deepest = 200;
const largestCount = 100_000;
const escapes: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9 };

/** @throws FRUGAL_BAD_ARGUMENT with line and column, or naming a rule that is missing. */
export function readGbnf(source: string): Grammar {
  if (source.length > longest)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `grammar: ${source.length} characters are more than ${longest}; make it shorter`);
  const points = Array.from(source);
  let at = 0;
  let depth = 0;
  const names = new Map<string, number>();
  const rules: (Expression | undefined)[] = [];

  const fail = (what: string, code: "FRUGAL_BAD_ARGUMENT" | "FRUGAL_UNSUPPORTED" = "FRUGAL_BAD_ARGUMENT"): FrugalError => {
    const before = points.slice(0, at).join("").split("\n");
    return new FrugalError(code, `grammar: ${what} at line ${before.length}, column ${before.at(-1)!.length + 1}; change it`, {
      line: before.length,
    });
  };
  /** Passes spaces and comments; ends of lines too where the rule goes on after them. */
  const skip = (lines: boolean): void => {
    for (;;) {
      const c = points[at];
      if (c === " " || c === "\t" || (lines && (c === "\n" || c === "\r"))) at++;
      else if (c === "#") while (at < points.length && points[at] !== "\n") at++;
      else return;
    }
  };
  const name = (): string => {
    const begin = at;
    while (at < points.length && /^[\w-]$/u.test(points[at]!)) at++;
    if (at === begin) throw fail("a name is missing");
    return points.slice(begin, at).join("");
  };
  const ruleOf = (ruleName: string): number => {
    const known = names.get(ruleName) ?? rules.push(undefined) - 1;
    names.set(ruleName, known);
    return known;
  };

  function character(): number {
    const c = points[at++];
    if (c === undefined) throw fail("the text ends too early");
    if (c !== "\\") return c.codePointAt(0)!;
    const e = points[at++];
    if (e === undefined) throw fail("the text ends too early");
    const size = { x: 2, u: 4, U: 8 }[e];
    if (size === undefined) {
      if (escapes[e] !== undefined) return escapes[e];
      if (/^[A-Za-z0-9]$/u.test(e)) throw fail(`\\${e} is no escape`);
      return e.codePointAt(0)!;
    }
    const digits = points.slice(at, at + size).join("");
    if (digits.length !== size || !/^[0-9a-fA-F]+$/u.test(digits)) throw fail(`\\${e} needs ${size} digits`);
    at += size;
    const point = Number.parseInt(digits, 16);
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) throw fail(`\\${e}${digits} is no character`);
    return point;
  }

  function characterClass(): CharacterSet {
    const negated = points[at] === "^";
    if (negated) at++;
    let set = noCharacters;
    while (points[at] !== "]") {
      const low = character();
      let high = low;
      if (points[at] === "-" && points[at + 1] !== "]") {
        at++;
        high = character();
      }
      if (high < low) throw fail("a range turned round");
      set = unionSets(set, characterSet([[low, high]]));
    }
    at++;
    return negated ? otherCharacters(set) : set;
  }

  function atom(nested: boolean): Expression {
    const c = points[at]!;
    if (c === '"') {
      at++;
      let value = "";
      while (points[at] !== '"') value += String.fromCodePoint(character());
      at++;
      return text(value);
    }
    if (c === "[") {
      at++;
      return characters(characterClass());
    }
    if (c === "(") {
      at++;
      skip(true);
      const inner = choice(true);
      if (points[at] !== ")") throw fail("a ) is missing");
      at++;
      return inner;
    }
    if (c === ".") {
      at++;
      return characters(allCharacters);
    }
    if (c === "<" || c === "!") throw fail("references to tokens are not supported", "FRUGAL_UNSUPPORTED");
    if (/^[\w-]$/u.test(c)) return { kind: "rule", index: ruleOf(name()) };
    throw fail(`${JSON.stringify(c)} begins nothing${nested ? "" : " here"}`);
  }

  function repeated(body: Expression, nested: boolean): Expression {
    for (;;) {
      skip(nested);
      const c = points[at];
      if (c === "*") body = repeat(body, 0, Infinity);
      else if (c === "+") body = repeat(body, 1, Infinity);
      else if (c === "?") body = repeat(body, 0, 1);
      else if (c === "{") {
        const found = /^\{\s*(\d{1,9})\s*(,?)\s*(\d{0,9})\s*\}/u.exec(points.slice(at, at + 40).join(""));
        if (found === null) throw fail("{ needs a count: {2}, {2,} or {2,5}");
        const least = Number(found[1]);
        const most = found[2] === "" ? least : found[3] === "" ? Infinity : Number(found[3]);
        if (least > largestCount || (most > largestCount && most !== Infinity)) throw fail(`a count beyond ${largestCount}`);
        if (most < least) throw fail("a count turned round");
        body = repeat(body, least, most);
        at += found[0].length - 1;
      } else return body;
      at++;
    }
  }

  function sequence(nested: boolean): Expression {
    const parts: Expression[] = [];
    for (;;) {
      skip(nested);
      const c = points[at];
      if (c === undefined || c === "|" || c === ")" || c === "\n" || c === "\r") return sequenceOf(...parts);
      parts.push(repeated(atom(nested), nested));
    }
  }

  function choice(nested: boolean): Expression {
    if (++depth > deepest) throw fail(`groups deeper than ${deepest}`);
    const options = [sequence(nested)];
    for (;;) {
      const before = at;
      skip(true);
      if (points[at] !== "|") {
        if (!nested) at = before;
        break;
      }
      at++;
      skip(true);
      options.push(sequence(nested));
    }
    depth--;
    return choiceOf(...options);
  }

  for (skip(true); at < points.length; skip(true)) {
    const ruleName = name();
    const index = ruleOf(ruleName);
    if (rules[index] !== undefined) throw fail(`${ruleName} is defined twice`);
    skip(false);
    if (points.slice(at, at + 3).join("") !== "::=") throw fail(`after ${ruleName} comes no ::=`);
    at += 3;
    skip(true);
    rules[index] = choice(false);
    skip(false);
    if (at < points.length && points[at] !== "\n" && points[at] !== "\r")
      throw fail(`${JSON.stringify(points[at])} stands after the rule's end`);
  }
  for (const [ruleName, index] of names) {
    if (rules[index] !== undefined) continue;
    const near = nearest(
      ruleName,
      [...names].filter(([, i]) => rules[i] !== undefined).map(([known]) => known),
    );
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `grammar: rule ${ruleName} is missing; define it${near === undefined ? "" : ` or write ${near}`}`,
    );
  }
  const root = names.get("root");
  if (root === undefined) throw new FrugalError("FRUGAL_BAD_ARGUMENT", "grammar: has no rule named root; name the whole text's rule so");
  return { rules: rules.map((rule) => rule!), root };
}
