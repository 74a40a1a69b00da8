/** Runs a Jinja template under limits: a model file brings its template along, and a template is a program. */
import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { FrugalError } from "../tensor/error.ts";
import { type Evaluate, withIntegerKeys } from "./jinja-integer-keys.ts";

export interface TemplateLimits {
  /** Nodes of the template evaluated, and items gone over; values cost a step for each 256 characters. */
  readonly steps: number;
  /** Characters of any one string. */
  readonly characters: number;
}

const longestSource = 1 << 20;

export interface Program {
  run(variables: Readonly<Record<string, unknown>>, limits: TemplateLimits): string;
}

/** @throws FRUGAL_BAD_FILE where the template is no Jinja. */
export function compileTemplate(source: string): Program {
  if (source.length > longestSource)
    throw new FrugalError(
      "FRUGAL_BAD_FILE",
      `chat template: ${source.length} characters are more than ${longestSource}; the file is corrupt`,
      {
        characters: source.length,
      },
    );
  const parsed = attempt("FRUGAL_BAD_FILE", "cannot be read", () => new Template(plainJinja(source)).parsed);
  return {
    run(variables, limits) {
      const environment = new Environment();
      for (const [name, value] of Object.entries({ ...constants, ...functions(limits), ...variables })) environment.set(name, value);
      const interpreter = new Interpreter(environment);
      const evaluate: Evaluate = withIntegerKeys(interpreter.evaluate.bind(interpreter));
      let steps = 0;
      // What a loop goes over costs a step each, even where the loop's body is empty.
      const iterated = new WeakSet<object>();
      // Every node is evaluated through this method, so here is where a template can be stopped.
      interpreter.evaluate = (node: Parameters<Evaluate>[0], scope: Environment) => {
        const { iterable } = (node ?? {}) as { iterable?: { lhs?: object } };
        if (iterable !== undefined) iterated.add(iterable.lhs ?? iterable);
        const result = evaluate(node, scope);
        const size = sizeOf(result.value);
        if (size > limits.characters) throw tooMuch("characters", limits.characters);
        steps += 1 + (node !== undefined && iterated.has(node) ? size : size >> 8);
        if (steps > limits.steps) throw tooMuch("steps", limits.steps);
        return result;
      };
      return attempt("FRUGAL_BAD_ARGUMENT", "refuses the conversation", () => {
        const text = String((interpreter.run(parsed) as { value: unknown }).value);
        if (text.length > limits.characters) throw tooMuch("characters", limits.characters);
        return text;
      });
    },
  };
}

/** Characters of a string; a list counts sixteen for each item, which is about what it takes in memory. */
function sizeOf(value: unknown): number {
  if (typeof value === "string") return value.length;
  return Array.isArray(value) ? value.length * 16 : value instanceof Map ? value.size * 16 : 0;
}

const tooMuch = (what: string, limit: number): FrugalError =>
  new FrugalError("FRUGAL_UNSUPPORTED", `chat template: it takes more than ${limit} ${what}; use another template`, { limit });

function attempt<T>(code: "FRUGAL_BAD_FILE" | "FRUGAL_BAD_ARGUMENT", what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof FrugalError) throw error;
    const cause = error instanceof Error ? error.message : String(error);
    throw new FrugalError(
      code,
      `chat template: it ${what}: ${cause.slice(0, 500)}; check the messages or name another template`,
      {},
      { cause: error },
    );
  }
}

/** What the library cannot read, in words that it can: blocks of the training tools, which write their contents unchanged. */
const plainJinja = (source: string): string =>
  source.replace(/\{%(-?)\s*(?:end)?generation\s*(-?)%\}/gu, "{%$1 if true $2%}{%$1 endif $2%}");

const constants = { true: true, false: false, none: null, True: true, False: false, None: null };

function functions(limits: TemplateLimits): Record<string, unknown> {
  return {
    raise_exception: (message: unknown) => {
      throw new Error(String(message));
    },
    strftime_now: (format: unknown) => formatTime(new Date(), String(format)),
    range: (start: number, stop?: number, step = 1): number[] => {
      const [from, to] = stop === undefined ? [0, start] : [start, stop];
      if (!Number.isFinite(step) || step === 0) throw new Error("range() needs a step other than 0");
      const count = Math.max(0, Math.ceil((to - from) / step));
      if (!(count <= limits.steps)) throw tooMuch("steps", limits.steps);
      return Array.from({ length: count }, (_, i) => from + i * step);
    },
  };
}

const months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/** Python's strftime, in local time and English. */
export function formatTime(date: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const hour = date.getHours();
  const codes: Readonly<Record<string, string>> = {
    Y: String(date.getFullYear()),
    y: two(date.getFullYear() % 100),
    m: two(date.getMonth() + 1),
    d: two(date.getDate()),
    e: String(date.getDate()).padStart(2),
    H: two(hour),
    I: two(hour % 12 === 0 ? 12 : hour % 12),
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    p: hour < 12 ? "AM" : "PM",
    B: months[date.getMonth()]!,
    b: months[date.getMonth()]!.slice(0, 3),
    A: days[date.getDay()]!,
    a: days[date.getDay()]!.slice(0, 3),
    "%": "%",
  };
  return format.replace(/%(-?)([A-Za-z%])/gu, (whole, bare: string, code: string) => {
    const value = codes[code];
    return value === undefined ? whole : bare === "-" ? value.replace(/^[0 ]+(?=.)/u, "") : value;
  });
}
