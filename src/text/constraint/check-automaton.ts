/** What must hold of a network before it is used: every node leads to an end, and no rule comes back to itself without reading a byte. */
import { FrugalError } from "../../tensor/error.ts";
import { call, type Draft, end, enter, pass, read, turn } from "./automaton.ts";
import type { Effort } from "./expression.ts";

/** The least solution of "this node may, where these others may", by rounds; nodes come after what they lead to, so rounds are few. */
function solve({ kinds, numbers, repeats }: Draft, reads: boolean, work: Effort): Uint8Array {
  const may = new Uint8Array(kinds.length);
  for (let changed = true; changed;) {
    changed = false;
    for (let i = 0; i < kinds.length; i++) {
      work.spend(1);
      if (may[i] === 1) continue;
      const list = numbers[i]!;
      const kind = kinds[i]!;
      let found = kind === end || kind === turn;
      if (kind === pass) found = list.some((to) => may[to] === 1);
      else if (kind === call) found = may[list[0]!] === 1 && may[list[1]!] === 1;
      else if (kind === enter) {
        const { body, least, after } = repeats[list[0]!]!;
        found = may[after] === 1 && (least === 0 || may[body] === 1);
      } else if (kind === read && reads) for (let k = 2; k < list.length; k += 3) found ||= may[list[k]!] === 1;
      if (!found) continue;
      may[i] = 1;
      changed = true;
    }
  }
  return may;
}

/** 1 for nodes from which the end of their rule can be reached. */
export const productiveNodes = (draft: Draft, work: Effort): Uint8Array => solve(draft, true, work);

/** @throws FRUGAL_BAD_ARGUMENT where a rule calls itself, perhaps through others, before it has read anything. */
export function checkLeftCalls(draft: Draft, starts: readonly number[], work: Effort): void {
  const empty = solve(draft, false, work);
  const called = (start: number): Set<number> => {
    const seen = new Set([start]);
    const found = new Set<number>();
    for (const at of seen) {
      work.spend(3);
      const list = draft.numbers[at]!;
      const kind = draft.kinds[at];
      if (kind === pass) for (const to of list) seen.add(to);
      else if (kind === call) {
        found.add(list[0]!);
        if (empty[list[0]!] === 1) seen.add(list[1]!);
      } else if (kind === enter) {
        const { body, least, after } = draft.repeats[list[0]!]!;
        seen.add(body);
        if (least === 0 || empty[body] === 1) seen.add(after);
      }
    }
    return found;
  };
  const calls = new Map(starts.map((start) => [start, called(start)]));
  // Rules that call only finished rules are finished; whoever is left calls itself.
  const callers = new Map<number, number[]>();
  const open = new Map<number, number>();
  for (const [start, targets] of calls) {
    open.set(start, targets.size);
    for (const target of targets) callers.set(target, [...(callers.get(target) ?? []), start]);
  }
  const ready = [...open].filter(([, count]) => count === 0).map(([start]) => start);
  let finished = 0;
  for (let start = ready.pop(); start !== undefined; start = ready.pop()) {
    finished++;
    for (const caller of callers.get(start) ?? []) {
      open.set(caller, open.get(caller)! - 1);
      if (open.get(caller) === 0) ready.push(caller);
    }
  }
  if (finished < open.size)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      "constraint: a rule begins with itself (left recursion), so it never ends; write it as a repetition",
    );
}
