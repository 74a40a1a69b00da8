/**
 * The network made deterministic while it is used: a state is every place in the network where the text so far may have led, and each step is
 * found once. Stacks are shared lists, so a place is two numbers (Tomita's graph-structured stack, without the merging).
 */
import { FrugalError } from "../../tensor/error.ts";
import { type Automaton, call, end, enter, pass, read } from "./automaton.ts";

export interface States {
  readonly start: number;
  /** The class of each byte: bytes of one class are never told apart. */
  readonly classOf: Uint8Array;
  readonly classes: number;
  /** At `state * classes + class` the next state, 0 where it is not known yet, -1 where there is none. Grows: read it anew after `step`. */
  table: Int32Array;
  /** How many states there are, and places in stacks: what decides about beginning anew. */
  readonly size: () => number;
  /** The state after a byte, or -1. @throws FRUGAL_BAD_ARGUMENT where the constraint is too ambiguous to be followed. */
  step(state: number, byte: number): number;
  /** The text may end here. */
  accepts(state: number): boolean;
  /** Nothing may follow. */
  isOver(state: number): boolean;
  /** How many plain characters are allowed here, whichever they are; at least. */
  plainCharacters(state: number): number;
  /** No other plain character is allowed than `plainCharacters` says. */
  plainOnly(state: number): boolean;
  /** Forgets how much was done; the next steps may do as much again. */
  rest(): void;
}

const mostPlaces = 4_000;
/** Deeper than any sensible text is nested; also what JSON.parse of most languages takes. */
const deepestStack = 1_000;
const mostFrames = 4_000_000;
const mostStates = 1_000_000;
/** Places looked at between two rests: a third of a second. */
const mostWork = 3_000_000;
const unit = 2 ** 26;

export function createStates(automaton: Automaton): States {
  const { kinds, from, numbers, repeats, plainRepeats, plainNodes } = automaton;
  const { classOf, classes } = classesOfBytes(automaton);
  // Frame 0 is the empty stack. A frame returns to a node, or, as the complement of its number, to a repetition.
  const [parents, returns, counts, depths] = [[0], [0], [0], [0]];
  const frames = new Map<string, number>();
  const places: Float64Array[] = [new Float64Array(0)];
  const accepting = [false];
  const plain = [0];
  const only = [false];
  const known = new Map<string, number>();
  let work = 0;

  const tooMuch = (what: string): FrugalError =>
    new FrugalError("FRUGAL_BAD_ARGUMENT", `constraint: ${what}; write it so that fewer ways lead to the same text`);

  const push = (parent: number, back: number, count: number): number => {
    const key = `${parent},${back},${count}`;
    const found = frames.get(key);
    if (found !== undefined) return found;
    const made = parents.length;
    if (made >= mostFrames) throw tooMuch(`has more than ${mostFrames} places in its stacks`);
    parents.push(parent);
    returns.push(back);
    counts.push(count);
    depths.push(depths[parent]! + 1);
    frames.set(key, made);
    return made;
  };

  /** The state of these places and all that are reached from them without a byte. */
  const close = (seeds: readonly number[]): number => {
    const seen = new Set<number>(seeds);
    const reading: number[] = [];
    let accepts = false;
    let allowed = 0;
    let frame = -1;
    const go = (node: number, stack: number): void => {
      if (depths[stack]! <= deepestStack) seen.add(node * unit + stack);
    };
    const loop = (repeat: number, count: number, stack: number): void => {
      const [body, least, most, after] = [
        repeats[repeat * 4]!,
        repeats[repeat * 4 + 1]!,
        repeats[repeat * 4 + 2]!,
        repeats[repeat * 4 + 3]!,
      ];
      if (body >= 0 && (most < 0 || count < most)) {
        const inside = push(stack, ~repeat, count);
        go(body, inside);
        const left = most < 0 ? Infinity : most - count;
        if (plainRepeats[repeat] === 1 && left > allowed) [allowed, frame] = [left, inside];
      }
      if (count >= least) go(after, stack);
    };
    for (const place of seen) {
      work++;
      const node = Math.floor(place / unit);
      const stack = place % unit;
      const kind = kinds[node];
      const at = from[node]!;
      if (plainNodes[node] === 1) allowed = Infinity;
      if (kind === read) {
        if (from[node + 1]! > at) reading.push(place);
      } else if (kind === pass) {
        for (let i = at; i < from[node + 1]!; i++) go(numbers[i]!, stack);
      } else if (kind === call) {
        const back = numbers[at + 1]!;
        // A rule that is the last of its own ends both at once: the stack stays as it is, however long the list.
        go(numbers[at]!, kinds[back] === end ? stack : push(stack, back, 0));
      } else if (kind === enter) loop(numbers[at]!, 0, stack);
      else if (stack === 0) accepts = true;
      else {
        const back = returns[stack]!;
        if (kind === end) go(back, parents[stack]!);
        else {
          const repeat = ~back;
          const most = repeats[repeat * 4 + 2]!;
          loop(repeat, Math.min(counts[stack]! + 1, most < 0 ? repeats[repeat * 4 + 1]! : most), parents[stack]!);
        }
      }
      if (seen.size > mostPlaces) throw tooMuch(`is in more than ${mostPlaces} places at once`);
      if (work > mostWork) throw tooMuch("takes too long to be followed");
    }
    if (reading.length === 0 && !accepts) return -1;
    const sorted = Float64Array.from(reading).sort();
    const key = `${accepts ? "+" : "-"}${sorted.join()}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    const made = places.length;
    if (made >= mostStates) throw tooMuch(`has more than ${mostStates} states`);
    places.push(sorted);
    accepting.push(accepts);
    plain.push(allowed);
    only.push(allowed > 0 && sorted.every((place) => place % unit === frame || !readsPlain(Math.floor(place / unit))));
    known.set(key, made);
    if ((made + 1) * classes > states.table.length) {
      const larger = new Int32Array(2 * states.table.length);
      larger.set(states.table);
      states.table = larger;
    }
    return made;
  };

  const readsPlain = (node: number): boolean => {
    for (let i = from[node]!; i < from[node + 1]!; i += 3)
      for (let byte = numbers[i]!; byte <= numbers[i + 1]!; byte++) if (beginsPlain(byte)) return true;
    return false;
  };

  const states: Omit<States, "start"> & { start: number } = {
    start: 0,
    classOf,
    classes,
    table: new Int32Array(64 * classes),
    size: () => places.length + parents.length,
    step(state, byte) {
      const at = state * classes + classOf[byte]!;
      const before = states.table[at]!;
      if (before !== 0) return before;
      const targets: number[] = [];
      for (const place of places[state]!) {
        work++;
        const node = Math.floor(place / unit);
        for (let i = from[node]!; i < from[node + 1]!; i += 3)
          if (byte >= numbers[i]! && byte <= numbers[i + 1]!) targets.push(numbers[i + 2]! * unit + (place % unit));
      }
      const to = targets.length === 0 ? -1 : close(targets);
      states.table[at] = to;
      return to;
    },
    accepts: (state) => accepting[state]!,
    isOver: (state) => places[state]!.length === 0,
    plainCharacters: (state) => plain[state]!,
    plainOnly: (state) => only[state]!,
    rest() {
      work = 0;
    },
  };
  states.start = close([automaton.start * unit]);
  return states;
}

const beginsPlain = (byte: number): boolean => (byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c) || byte >= 0xc2;

function classesOfBytes({ kinds, from, numbers }: Automaton): { readonly classOf: Uint8Array; readonly classes: number } {
  const edges = new Uint8Array(257);
  kinds.forEach((kind, node) => {
    if (kind !== read) return;
    for (let i = from[node]!; i < from[node + 1]!; i += 3) {
      edges[numbers[i]!] = 1;
      edges[numbers[i + 1]! + 1] = 1;
    }
  });
  const classOf = new Uint8Array(256);
  let count = 0;
  for (let byte = 1; byte < 256; byte++) classOf[byte] = count += edges[byte]!;
  return { classOf, classes: count + 1 };
}
