/** Chains of maps become one step: which values join, and the small program that native/kernels/map.cpp runs for them. */
import { sameDims } from "../../graph/dim.ts";
import type { Value } from "../../graph/value.ts";
import { gates } from "./words.ts";

/** By op, in the order of MapKind in native/kernels/map.cpp. */
const kinds: readonly string[] = [
  "add",
  "sub",
  "mul",
  "div",
  "maximum",
  "less",
  "scale",
  "exp",
  "log",
  "sqrt",
  "tanh",
  "erf",
  "sin",
  "cos",
  "select",
  "broadcast",
];
const gateKind = (value: Value): number => kinds.length + gates.indexOf(String(value.attributes["kind"]));

export const isMap = (value: Value): boolean => kinds.includes(value.op) || value.op === "activation" || value.op === "glu";

const mostMembers = 48;
const mostOperands = 16;
const registers = 40;
/** A chain that reaches further back than this would keep its inputs long. */
const longestReach = 160;

/**
 * Groups of maps of one shape, each to be one step. Two values join where one reads the other and no value outside the group both needs
 * one member and is needed by another.
 */
export function groupMaps(
  order: readonly Value[],
  users: ReadonlyMap<Value, readonly Value[]>,
  isFree: (value: Value) => boolean,
): ReadonlySet<Value>[] {
  const position = new Map(order.map((value, i) => [value, i]));
  const groupOf = new Map<Value, Set<Value>>();
  for (const [at, value] of order.entries()) {
    if (!isMap(value) || !isFree(value)) continue;
    let group = new Set([value]);
    for (const input of new Set(value.inputs)) {
      const other = groupOf.get(input);
      if (other === undefined || group.has(input) || !sameDims(input.shape, value.shape)) continue;
      const union = new Set([...other, ...group]);
      if (fits(union, users) && position.get([...other][0]!)! > at - longestReach && !passesOutside(union, position)) group = union;
    }
    for (const member of group) groupOf.set(member, group);
  }
  return [...new Set(groupOf.values())];
}

function fits(group: ReadonlySet<Value>, users: ReadonlyMap<Value, readonly Value[]>): boolean {
  if (group.size > mostMembers) return false;
  const operands = new Set([...group].flatMap(({ inputs }) => inputs.filter((input) => !group.has(input))));
  const results = [...group].filter((member) => isResult(member, group, users));
  return operands.size + results.length <= mostOperands && operands.size + 4 <= registers;
}

/** Whether somebody outside the group reads a member, or it is what the graph is for. */
export const isResult = (value: Value, group: ReadonlySet<Value>, users: ReadonlyMap<Value, readonly Value[]>): boolean =>
  (users.get(value) ?? []).length === 0 || users.get(value)!.some((user) => !group.has(user));

/** Whether a path leads from a member through other values back to a member. */
export function passesOutside(group: ReadonlySet<Value>, position: ReadonlyMap<Value, number>): boolean {
  const first = Math.min(...[...group].map((member) => position.get(member)!));
  const seen = new Set<Value>();
  const stack = [...group].flatMap(({ inputs }) => inputs.filter((input) => !group.has(input)));
  while (stack.length > 0) {
    const value = stack.pop()!;
    if (seen.has(value) || position.get(value)! < first) continue;
    seen.add(value);
    for (const input of value.inputs) {
      if (group.has(input)) return true;
      stack.push(input);
    }
  }
  return false;
}

export interface MapProgram {
  readonly inputs: readonly Value[];
  readonly results: readonly Value[];
  readonly integers: readonly number[];
  readonly numbers: readonly number[];
  readonly registers: number;
}

/** Undefined where it needs more registers than there are. */
export function mapProgram(
  group: ReadonlySet<Value>,
  order: readonly Value[],
  isWanted: (value: Value) => boolean,
): MapProgram | undefined {
  const members = order.filter((value) => group.has(value));
  const inputs = [...new Set(members.flatMap((value) => value.inputs.filter((input) => !group.has(input))))];
  const results = members.filter(isWanted);
  const lastUse = new Map<Value, number>();
  members.forEach((value, i) => value.inputs.forEach((input) => lastUse.set(input, i)));
  const register = new Map<Value, number>(inputs.map((input, i) => [input, i]));
  const free: number[] = [];
  let count = inputs.length;
  const take = (): number => free.pop() ?? count++;
  const words: number[] = [];
  const numbers: number[] = [];
  members.forEach((value, i) => {
    const from = value.inputs.map((input) => register.get(input)!);
    const [a = 0, b = a, c = a] = from;
    const to = take();
    const put = (kind: number, x: number, y: number, z: number, by = 0, plus = 0): void => {
      words.push(kind, to, x, y, z);
      numbers.push(by, plus);
    };
    if (value.op === "glu") {
      // The unit's register holds the gate until it is multiplied.
      put(gateKind(value), a, a, a);
      put(kinds.indexOf("mul"), to, b, to);
    } else if (value.op === "activation") put(gateKind(value), a, a, a);
    else {
      const { by = 1, plus = 0 } = value.attributes as { readonly by?: number; readonly plus?: number };
      put(kinds.indexOf(value.op), a, b, c, by, plus);
    }
    register.set(value, to);
    for (const input of new Set(value.inputs))
      if (lastUse.get(input) === i && group.has(input) && !results.includes(input)) free.push(register.get(input)!);
  });
  if (count > registers) return undefined;
  return {
    inputs,
    results,
    registers: count,
    integers: [inputs.length, results.length, count, ...words, ...results.map((value) => register.get(value)!)],
    numbers,
  };
}
