/** The order of steps where several values are one step: as given, but each step waits for everything any of its values needs. */
import type { Value } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";

/** One entry a step, its values in the given order. `groups` share no value. */
export function schedule(order: readonly Value[], groups: readonly ReadonlySet<Value>[]): (readonly Value[])[] {
  const position = new Map(order.map((value, i) => [value, i]));
  const members = new Map<Value, readonly Value[]>();
  for (const group of groups) {
    const values = [...group].sort((a, b) => position.get(a)! - position.get(b)!);
    for (const value of values) members.set(value, values);
  }
  const stepOf = (value: Value): readonly Value[] => members.get(value) ?? alone.get(value)!;
  const alone = new Map(order.filter((value) => !members.has(value)).map((value) => [value, [value] as readonly Value[]]));

  const waiting = new Map<readonly Value[], number>();
  const followers = new Map<readonly Value[], Set<readonly Value[]>>();
  const steps = new Set(order.map(stepOf));
  for (const step of steps) {
    const needs = new Set(step.flatMap(({ inputs }) => inputs.map(stepOf)).filter((other) => other !== step));
    waiting.set(step, needs.size);
    for (const need of needs) followers.set(need, (followers.get(need) ?? new Set()).add(step));
  }
  // Whatever is ready goes at the place of its last value, which keeps the given order where nothing was joined.
  const priority = (step: readonly Value[]): number => position.get(step.at(-1)!)!;
  const ready = new Heap(priority);
  for (const step of steps) if (waiting.get(step) === 0) ready.push(step);
  const done: (readonly Value[])[] = [];
  for (let step = ready.pop(); step !== undefined; step = ready.pop()) {
    done.push(step);
    for (const follower of followers.get(step) ?? []) {
      const left = waiting.get(follower)! - 1;
      waiting.set(follower, left);
      if (left === 0) ready.push(follower);
    }
  }
  if (done.length < steps.size) throw new FrugalError("FRUGAL_INTERNAL", "core: steps wait for each other; a group of values is wrong");
  return done;
}

/** A binary heap, smallest first. */
class Heap<T> {
  readonly #items: T[] = [];
  readonly #priority: (item: T) => number;

  constructor(priority: (item: T) => number) {
    this.#priority = priority;
  }

  push(item: T): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#priority(items[parent]!) <= this.#priority(item)) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  pop(): T | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.#priority(items[child + 1]!) < this.#priority(items[child]!)) child++;
      if (this.#priority(items[child]!) >= this.#priority(last)) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return top;
  }
}
