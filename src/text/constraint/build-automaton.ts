/** From rules over characters to the network over bytes. */
import { FrugalError } from "../../tensor/error.ts";
import { type Automaton, call, type Draft, end, enter, pass, read, turn } from "./automaton.ts";
import { type CharacterSet, hasCharacter, includesSet, intersectSets, plainCharacters, unionSets } from "./character-set.ts";
import { checkLeftCalls, productiveNodes } from "./check-automaton.ts";
import type { Effort, Expression, Grammar } from "./expression.ts";
import { escapeOf, jsonEscaped, jsonPlain } from "./json-escape.ts";
import { type Language, setsOf, staysOn } from "./language.ts";
import { type ByteRanges, utf8Ranges } from "./utf8-ranges.ts";

const mostNodes = 1_000_000;
/** Repetitions up to this many nodes are written out: a counter costs a place in the stack at every turn. */
const writtenOut = 16;

/** @throws FRUGAL_BAD_ARGUMENT for a grammar that allows nothing, recurs without reading anything, or is too large. */
export function buildAutomaton({ rules, root }: Grammar, work: Effort): Automaton {
  const draft: Draft = { kinds: [], numbers: [], repeats: [], plainNodes: [] };
  const node = (kind: number, numbers: number[]): number => {
    work.spend(10);
    if (draft.kinds.length >= mostNodes)
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `constraint: needs more than ${mostNodes} nodes; make it simpler`, { nodes: mostNodes });
    draft.numbers.push(numbers);
    return draft.kinds.push(kind) - 1;
  };
  const encoder = new TextEncoder();

  const addText = (value: string, to: number): number =>
    encoder.encode(value).reduceRight((following, byte) => node(read, [byte, byte, following]), to);

  /** Sequences of bytes that all lead to `to`; those that begin alike share their beginning. */
  const addRanges = (all: readonly ByteRanges[], depth: number, to: number): number => {
    const edges: number[] = [];
    for (let i = 0; i < all.length;) {
      const [low, high] = all[i]![depth]!;
      let after = i + 1;
      while (after < all.length && all[after]![depth]![0] === low && all[after]![depth]![1] === high) after++;
      edges.push(low, high, all[i]!.length === depth + 1 ? to : addRanges(all.slice(i, after), depth + 1, to));
      i = after;
    }
    return node(read, edges);
  };

  const addLanguage = (language: Language, spell: "plain" | "json", to: number): number => {
    const sets = setsOf(language);
    const states = language.accepting.length;
    // Placeholders first: states lead to one another.
    const at = Array.from({ length: states }, () => node(pass, []));
    for (let state = 0; state < states; state++) {
      const byTarget = new Map<number, CharacterSet>();
      sets.forEach((set, symbol) => {
        work.spend(2);
        const next = language.next[state * language.classes + symbol]!;
        if (next >= 0) byTarget.set(next, byTarget.has(next) ? unionSets(byTarget.get(next)!, set) : set);
      });
      const targets = draft.numbers[at[state]!]!;
      if (language.accepting[state] === 1) targets.push(to);
      for (const [next, set] of byTarget) {
        work.spend(set.length);
        const raw = spell === "json" ? intersectSets(set, jsonPlain) : set;
        if (raw.length > 0) targets.push(addRanges(utf8Ranges(raw), 0, at[next]!));
        if (spell === "plain") continue;
        for (const point of jsonEscaped) if (hasCharacter(set, point)) targets.push(addText(escapeOf(point), at[next]!));
      }
      if (staysOn(language, state, plainCharacters)) draft.plainNodes.push(at[state]!);
    }
    return at[0]!;
  };

  const addRepeat = (e: Extract<Expression, { kind: "repeat" }>, to: number): number => {
    const { body, least, most } = e;
    if (most === 0) return to;
    if (most === 1) return node(pass, [add(body, to), to]);
    const plain = readsPlain(body);
    if (most === Infinity && least <= 1) {
      const loop = node(pass, [to]);
      const first = add(body, loop);
      draft.numbers[loop]!.push(first);
      if (plain) draft.plainNodes.push(loop);
      return least === 0 ? loop : first;
    }
    if (most !== Infinity && sizeOf(body) * most <= writtenOut) {
      let following = to;
      for (let i = least; i < most; i++) following = node(pass, [to, add(body, following)]);
      for (let i = 0; i < least; i++) following = add(body, following);
      return following;
    }
    const index = draft.repeats.length;
    const repeat = { body: -1, least, most, after: to, plain };
    draft.repeats.push(repeat);
    repeat.body = add(body, node(turn, []));
    return node(enter, [index]);
  };

  /** Adds the expression so that it goes on to `to`; its first node. */
  const add = (e: Expression, to: number): number => {
    if (e.kind === "characters") return addRanges(utf8Ranges(e.set), 0, to);
    if (e.kind === "text") return addText(e.text, to);
    if (e.kind === "sequence") return e.parts.reduceRight((following, part) => add(part, following), to);
    if (e.kind === "choice")
      return node(
        pass,
        e.options.map((option) => add(option, to)),
      );
    if (e.kind === "rule") return node(call, [e.index, to]);
    if (e.kind === "language") return addLanguage(e.language, e.spell, to);
    return addRepeat(e, to);
  };

  const starts = rules.map((rule) => add(rule, node(end, [])));
  draft.kinds.forEach((kind, i) => {
    if (kind === call) draft.numbers[i]![0] = starts[draft.numbers[i]![0]!]!;
  });
  const productive = productiveNodes(draft, work);
  if (productive[starts[root]!] === 0)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", "constraint: no text at all fulfils it; look for parts that contradict one another");
  checkLeftCalls(draft, starts, work);
  return packed(draft, starts[root]!, productive);
}

/** Whether one turn can read any plain character, alone. */
function readsPlain(body: Expression): boolean {
  if (body.kind === "characters") return includesSet(body.set, plainCharacters);
  return body.kind === "choice" && body.options.some(readsPlain);
}

function sizeOf(body: Expression): number {
  if (body.kind === "text") return body.text.length;
  if (body.kind === "characters") return body.set.at(-1)! < 0x80 ? 1 : 8;
  if (body.kind === "rule") return 2;
  if (body.kind === "sequence") return body.parts.reduce((sum, part) => sum + sizeOf(part), 0);
  if (body.kind === "choice") return body.options.reduce((sum, option) => sum + sizeOf(option), 1);
  return Infinity;
}

/** Leaves out what leads nowhere, so that whoever is in the network can always come to its end. */
function packed({ kinds, numbers, repeats, plainNodes }: Draft, start: number, productive: Uint8Array): Automaton {
  const kept = numbers.map((list, i) => {
    if (kinds[i] === pass) return list.filter((to) => productive[to] === 1);
    if (kinds[i] !== read) return list;
    const edges: number[] = [];
    for (let k = 0; k < list.length; k += 3) if (productive[list[k + 2]!] === 1) edges.push(list[k]!, list[k + 1]!, list[k + 2]!);
    return edges;
  });
  const from = new Int32Array(kinds.length + 1);
  kept.forEach((list, i) => (from[i + 1] = from[i]! + list.length));
  const flat = new Int32Array(from[kinds.length]!);
  kept.forEach((list, i) => flat.set(list, from[i]));
  const plain = new Uint8Array(kinds.length);
  for (const i of plainNodes) plain[i] = 1;
  return {
    kinds: Uint8Array.from(kinds),
    from,
    numbers: flat,
    repeats: Int32Array.from(
      repeats.flatMap(({ body, least, most, after }) => [productive[body] === 1 ? body : -1, least, most === Infinity ? -1 : most, after]),
    ),
    plainRepeats: Uint8Array.from(repeats, ({ plain }) => (plain ? 1 : 0)),
    plainNodes: plain,
    start,
  };
}
