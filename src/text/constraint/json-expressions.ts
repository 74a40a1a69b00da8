/**
 * JSON as grammar. Between tokens there is at most one space, after a comma or a colon: a model that may write white space without end does.
 * Numbers are those that double precision can hold: up to 21 digits before the point, 24 after it, exponents up to 299.
 */
import { characterSet } from "./character-set.ts";
import { characters, choice, type Expression, optional, repeat, sequence, text } from "./expression.ts";
import { jsonPlain } from "./json-escape.ts";

const space = optional(text(" "));
/** What stands between the members of objects and arrays. */
export const comma: Expression = sequence(text(","), space);
export const colon: Expression = sequence(text(":"), space);

const hex = characterSet([
  [0x30, 0x39],
  [0x41, 0x46],
  [0x61, 0x66],
]);
const letters = (...list: readonly string[]): Expression =>
  characters(characterSet(list.map((c) => [c.charCodeAt(0), c.charCodeAt(0)] as const)));
const hexes = (count: number): Expression => repeat(characters(hex), count, count);

/** One character of a string, written in any way that JSON knows; halves of a surrogate pair only together. */
const stringCharacter: Expression = choice(
  characters(jsonPlain),
  sequence(
    text("\\"),
    choice(
      letters('"', "\\", "/", "b", "f", "n", "r", "t"),
      sequence(
        text("u"),
        choice(
          sequence(
            characters(
              characterSet([
                [0x30, 0x39],
                [0x41, 0x43],
                [0x45, 0x46],
                [0x61, 0x63],
                [0x65, 0x66],
              ]),
            ),
            hexes(3),
          ),
          sequence(letters("d", "D"), characters(characterSet([[0x30, 0x37]])), hexes(2)),
          sequence(
            letters("d", "D"),
            letters("8", "9", "a", "b", "A", "B"),
            hexes(2),
            text("\\u"),
            letters("d", "D"),
            letters("c", "d", "e", "f", "C", "D", "E", "F"),
            hexes(2),
          ),
        ),
      ),
    ),
  ),
);

/** A string of `least` to `most` characters (code points), with its quotes. */
export const jsonString = (least: number = 0, most: number = Infinity): Expression =>
  sequence(text('"'), repeat(stringCharacter, least, most), text('"'));

const digits = (least: number, most: number): Expression => repeat(characters(characterSet([[0x30, 0x39]])), least, most);
const naturals = (most: number): Expression => choice(text("0"), sequence(characters(characterSet([[0x31, 0x39]])), digits(0, most - 1)));
const minus = optional(text("-"));

export const jsonInteger: Expression = choice(text("0"), sequence(minus, characters(characterSet([[0x31, 0x39]])), digits(0, 20)));
export const jsonNumber: Expression = sequence(
  minus,
  choice(
    sequence(naturals(21), optional(sequence(text("."), digits(1, 24)))),
    sequence(
      naturals(9),
      optional(sequence(text("."), digits(1, 24))),
      letters("e", "E"),
      optional(letters("+", "-")),
      choice(digits(1, 2), sequence(letters("1", "2"), digits(2, 2))),
    ),
  ),
);

/** Members between brackets: none, or some with commas between them. */
export const bracketed = (open: string, close: string, members: Expression): Expression => sequence(text(open), members, text(close));

export const list = (member: Expression): Expression => optional(sequence(member, repeat(sequence(comma, member), 0, Infinity)));

/** Any object; `value` is any value. */
export const anyObject = (value: Expression): Expression => bracketed("{", "}", list(sequence(jsonString(), colon, value)));
export const anyArray = (value: Expression): Expression => bracketed("[", "]", list(value));

/** Any value; `self` is the rule that this becomes. */
export const anyValue = (self: Expression): Expression =>
  choice(jsonString(), jsonNumber, text("true"), text("false"), text("null"), anyObject(self), anyArray(self));

/** A value exactly as it is, its members in their order. */
export function literal(value: unknown): Expression {
  if (typeof value !== "object" || value === null) return text(JSON.stringify(value));
  const members = Array.isArray(value)
    ? value.map(literal)
    : Object.entries(value).map(([key, member]) => sequence(text(JSON.stringify(key)), colon, literal(member)));
  const joined = members.flatMap((member, i) => (i === 0 ? [member] : [comma, member]));
  const inner = joined.length === 0 ? text("") : sequence(...joined);
  return Array.isArray(value) ? bracketed("[", "]", inner) : bracketed("{", "}", inner);
}
