/** Weights chosen by patterns: a name or the end of one ("attention.query", "bias"), with * for any letters ("layers.0.*"). */
import { type Graph, sourceName, valuesOf } from "../../graph/value.ts";
import { FrugalError, nearest } from "../../tensor/error.ts";

/** Every weight of the graph that can be trained, in the graph's order: rotary frequencies ("rope.") are tables, not parameters. */
export function parameterNames(graph: Graph): string[] {
  const names = valuesOf(graph).flatMap((value) => (value.op === "weight" ? [sourceName(value)] : []));
  return names.filter((name) => !name.startsWith("rope."));
}

/** The names that at least one pattern fits, in their order. Throws FRUGAL_BAD_ARGUMENT for no patterns and for one that fits nothing. */
export function chooseNames(names: readonly string[], patterns: readonly string[], technique: string, option: string): string[] {
  if (!Array.isArray(patterns) || patterns.length === 0)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: ${option} names no weights; give a list such as ["attention.query"]`, {
      option,
    });
  const chosen = new Set<string>();
  for (const pattern of patterns) {
    const fitting = names.filter((name) => fits(name, pattern));
    if (fitting.length === 0) throw unknown(names, pattern, technique, option);
    for (const name of fitting) chosen.add(name);
  }
  return names.filter((name) => chosen.has(name));
}

/** Parts between stars must follow each other; tried from the left, so that no pattern takes long. */
function fits(name: string, pattern: string): boolean {
  if (!pattern.includes("*")) return name === pattern || name.endsWith(`.${pattern}`);
  const [first = "", ...rest] = pattern.split("*");
  const starts = [0, ...[...name].flatMap((letter, i) => (letter === "." ? [i + 1] : []))];
  return starts.some((start) => name.startsWith(first, start) && follow(name, start + first.length, rest));
}

function follow(name: string, from: number, parts: readonly string[]): boolean {
  const last = parts.at(-1)!;
  let at = from;
  for (const part of parts.slice(0, -1)) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.endsWith(last) && name.length - last.length >= at;
}

function unknown(names: readonly string[], pattern: string, technique: string, option: string): FrugalError {
  const ends = names.map((name) => name.replace(/^layers\.\d+\./, ""));
  const near = nearest(String(pattern), [...ends, ...names]);
  const advice = near === undefined ? `there are ${[...new Set(ends)].join(", ")}` : `did you mean "${near}"?`;
  return new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: ${option} "${String(pattern)}" fits no weight of the model; ${advice}`, {
    option,
    pattern: String(pattern),
  });
}
