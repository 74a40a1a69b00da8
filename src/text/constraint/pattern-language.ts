/** From a regular expression to its automaton, where the expression may match anywhere in a text (JSON Schema's `pattern`) or must match all of it. */
import { FrugalError } from "../../tensor/error.ts";
import { allCharacters, type CharacterSet, hasCharacter } from "./character-set.ts";
import type { Effort, Expression } from "./expression.ts";
import { classesOf, combine, explore, type Language, setsOf } from "./language.ts";
import { anyText, type Pattern } from "./regex-pattern.ts";

/** A node of the nondeterministic automaton: it reads a character of `set`, or needs to be at an edge of the text, or neither. */
interface Node {
  readonly set?: CharacterSet;
  readonly edge?: "start" | "end";
  to: number[];
}

const mostNodes = 200_000;

/**
 * Texts in which the pattern matches. @param whole it must match all of the text.
 * @throws FRUGAL_UNSUPPORTED for a lookahead that stands elsewhere than at the text's start.
 */
export function patternLanguage(pattern: Pattern, whole: boolean, work: Effort): Language {
  const { looks, rest } = withoutLooks(pattern, whole);
  // A lookahead at the start is a demand on the whole text: it begins so, or does not.
  return looks.reduce(
    (language, { body, negative }) => {
      const begins: Pattern = { kind: "sequence", parts: [{ kind: "edge", at: "start" }, body] };
      return combine(language, patternLanguage(begins, false, work), negative, work);
    },
    plainLanguage(rest, whole, work),
  );
}

type Look = Extract<Pattern, { readonly kind: "look" }>;

/** The lookaheads at the start of the text, and the pattern without them. */
function withoutLooks(pattern: Pattern, atStart: boolean): { readonly looks: readonly Look[]; readonly rest: Pattern } {
  const parts = pattern.kind === "sequence" ? pattern.parts : [pattern];
  const looks: Look[] = [];
  const rest: Pattern[] = [];
  let isStart = atStart;
  for (const part of parts) {
    if (part.kind === "edge" && part.at === "start") isStart = true;
    if (part.kind === "look" && isStart && rest.every(isEdge)) looks.push(part);
    else rest.push(part);
  }
  return { looks, rest: { kind: "sequence", parts: rest } };
}

export const hasLooks = (pattern: Pattern): boolean => withoutLooks(pattern, true).looks.length > 0;

function plainLanguage(pattern: Pattern, whole: boolean, work: Effort): Language {
  const nodes: Node[] = [];
  const node = (fields: Omit<Node, "to">, ...to: number[]): number => {
    work.spend(5);
    if (nodes.length >= mostNodes)
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `regular expression: has more than ${mostNodes} places once its counts are written out; make it simpler`,
      );
    return nodes.push({ ...fields, to }) - 1;
  };
  /** Adds the pattern so that it goes on to `to`; its first node. */
  const add = (p: Pattern, to: number): number => {
    if (p.kind === "set") return node({ set: p.set }, to);
    if (p.kind === "edge") return node({ edge: p.at }, to);
    if (p.kind === "look") throw misplaced();
    if (p.kind === "sequence") return p.parts.reduceRight((following, part) => add(part, following), to);
    if (p.kind === "choice") return node({}, ...p.options.map((option) => add(option, to)));
    let following = to;
    if (p.most === Infinity) {
      following = node({}, to);
      nodes[following]!.to.push(add(p.body, following));
    } else for (let i = p.least; i < p.most; i++) following = node({}, to, add(p.body, following));
    for (let i = 0; i < p.least; i++) following = add(p.body, following);
    return following;
  };
  const end = node({});
  const after = whole ? end : add(anyText, end);
  const body = add(pattern, after);
  const first = whole
    ? body
    : node({}, body, add({ kind: "repeat", body: { kind: "set", set: allCharacters }, least: 1, most: Infinity }, body));

  const closure = (from: readonly number[], atStart: boolean, atEnd: boolean): number[] => {
    const seen = new Set(from);
    for (const at of seen) {
      work.spend(3);
      const { set, edge, to } = nodes[at]!;
      if (set !== undefined || (edge === "start" && !atStart) || (edge === "end" && !atEnd)) continue;
      for (const next of to) seen.add(next);
    }
    return [...seen].filter((at) => at === end || nodes[at]!.set !== undefined || nodes[at]!.edge === "end").sort((a, b) => a - b);
  };
  const parts = classesOf([...new Set(nodes.flatMap(({ set }) => (set === undefined ? [] : [set])))], work);
  const samples = setsOf(parts).map((set) => set[0]);
  // A text that is empty is at its start and its end at once, and `$` may come before `^` there.
  const emptyToo = closure([first], true, true).includes(end);
  const begin = { key: "start", at: closure([first], true, false) };
  return explore(
    parts,
    begin,
    ({ key }) => key,
    ({ at }, symbol) => {
      const point = samples[symbol];
      if (point === undefined) return undefined;
      const to = new Set<number>();
      for (const place of at) {
        work.spend(4);
        const { set, to: next } = nodes[place]!;
        if (set !== undefined && hasCharacter(set, point)) for (const target of next) to.add(target);
      }
      if (to.size === 0) return undefined;
      const places = closure([...to], false, false);
      return { key: places.join(), at: places };
    },
    (state) => (state === begin ? emptyToo : closure(state.at, false, true).includes(end)),
    work,
  );
}

/** The pattern as a grammar's expression, matching all of a text; counts stay counts. Edges of the text may stand only at its edges. */
export function patternExpression(pattern: Pattern, atStart = true, atEnd = true): Expression {
  if (pattern.kind === "set") return { kind: "characters", set: pattern.set };
  if (pattern.kind === "choice")
    return { kind: "choice", options: pattern.options.map((option) => patternExpression(option, atStart, atEnd)) };
  if (pattern.kind === "repeat")
    return { kind: "repeat", body: patternExpression(pattern.body, false, false), least: pattern.least, most: pattern.most };
  if (pattern.kind === "look") throw misplaced();
  if (pattern.kind === "edge") {
    if (pattern.at === "start" ? atStart : atEnd) return { kind: "text", text: "" };
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `regular expression: ${pattern.at === "start" ? "^" : "$"} stands inside the expression, which matches the whole text; leave it out`,
    );
  }
  const last = pattern.parts.length - 1;
  return {
    kind: "sequence",
    parts: pattern.parts.map((part, i) =>
      patternExpression(
        part,
        atStart && pattern.parts.slice(0, i).every(isEdge),
        atEnd && pattern.parts.slice(i + 1, last + 1).every(isEdge),
      ),
    ),
  };
}

const misplaced = (): FrugalError =>
  new FrugalError(
    "FRUGAL_UNSUPPORTED",
    "regular expression: a lookahead stands elsewhere than at the start of the text; write it otherwise",
  );

const isEdge = (pattern: Pattern): boolean => pattern.kind === "edge";

/** Every text. */
export const everyText = (work: Effort): Language => patternLanguage(anyText, true, work);
