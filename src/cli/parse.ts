/** Arguments to `Given`, by a command's specification. Whatever is not understood is a `UsageError` that names the nearest thing known. */
import { parseArgs } from "node:util";
import { nearest } from "../tensor/error.ts";
import { type Command, commonOptions, type Given, type OptionSpec, UsageError } from "./command.ts";

type Token = {
  readonly kind: string;
  readonly name?: string;
  readonly value?: string | undefined;
  readonly rawName?: string;
  readonly inlineValue?: boolean | undefined;
};

export function parse(command: Command, args: readonly string[]): Given {
  const specs = [...command.options, ...commonOptions];
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  const options = Object.fromEntries(
    specs.map((spec) => [spec.name, { type: spec.value === undefined ? ("boolean" as const) : ("string" as const), multiple: true }]),
  );
  // "--ids -1" is a value that starts with a dash, which parseArgs refuses to guess.
  const joined = joinValues(args, byName);
  const { tokens } = parseArgs({ args: joined, options, strict: false, allowPositionals: true, tokens: true });
  for (const token of tokens as readonly Token[]) {
    if (token.kind === "positional") positionals.push(token.value!);
    else if (token.kind === "option") {
      const spec = byName.get(token.name!);
      if (spec === undefined || !token.rawName!.startsWith("--")) throw unknownOption(command, token.rawName!, byName.keys());
      if (spec.value === undefined && token.value !== undefined)
        throw new UsageError(`--${spec.name} takes no value, got ${JSON.stringify(token.value)}`);
      if (spec.value !== undefined && token.value === undefined)
        throw new UsageError(`--${spec.name} needs a value: --${spec.name} ${spec.value.label}`);
      const known = values.get(spec.name) ?? [];
      if (known.length > 0 && spec.value !== undefined && spec.many !== true) throw new UsageError(`--${spec.name} is given twice`);
      values.set(spec.name, [...known, token.value ?? "true"]);
    }
  }
  for (const [name, texts] of values) for (const text of texts) checkValue(byName.get(name)!, text);
  const given: Given = {
    arguments: positionals,
    flag: (name) => values.has(name),
    text: (name) => values.get(name)?.[0],
    texts: (name) => values.get(name) ?? [],
    number: (name) => (values.has(name) ? Number(values.get(name)![0]) : undefined),
    numbers: (name) => values.get(name)?.[0]?.split(",").map(Number),
  };
  if (!given.flag("help")) checkArguments(command, positionals);
  return given;
}

function joinValues(args: readonly string[], byName: ReadonlyMap<string, OptionSpec>): string[] {
  const joined: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const spec = args[i]!.startsWith("--") ? byName.get(args[i]!.slice(2)) : undefined;
    if (args[i] === "--") return [...joined, ...args.slice(i)];
    if (spec?.value !== undefined && i + 1 < args.length && !(args[i + 1]!.startsWith("--") && args[i + 1] !== "--"))
      joined.push(`${args[i]!}=${args[++i]!}`);
    else joined.push(args[i]!);
  }
  return joined;
}

function checkArguments({ name, arguments: specs }: Command, positionals: readonly string[]): void {
  const missing = specs[positionals.length];
  if (missing !== undefined && missing.optional !== true) throw new UsageError(`${name}: ${missing.label} is missing (${missing.help})`);
  if (positionals.length > specs.length && specs.at(-1)?.many !== true)
    throw new UsageError(`${name}: ${JSON.stringify(positionals[specs.length])} is one argument too many; put text with spaces in quotes`);
}

const wanted = { number: "a number", integer: "a whole number", integers: "whole numbers with commas between" };

function checkValue({ name, value }: OptionSpec, text: string): void {
  if (value === undefined || value.kind === "text") return;
  if (typeof value.kind !== "string") {
    if (value.kind.includes(text)) return;
    const near = nearest(text, value.kind);
    throw new UsageError(
      `--${name} is ${JSON.stringify(text)}; it may be ${value.kind.join(", ")}${near === undefined ? "" : `. Did you mean ${near}?`}`,
    );
  }
  const numbers = value.kind === "integers" ? text.split(",") : [text];
  const pattern = value.kind === "number" ? /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i : /^[+-]?\d+$/;
  for (const number of numbers) {
    if (!pattern.test(number.trim())) throw new UsageError(`--${name} is ${JSON.stringify(text)}; give ${wanted[value.kind]}`);
    if (Number(number) < (value.least ?? -Infinity)) throw new UsageError(`--${name} is ${text}; the least is ${value.least}`);
  }
}

function unknownOption(command: Command, rawName: string, known: Iterable<string>): UsageError {
  const name = rawName.replace(/^-+/, "");
  const names = [...known];
  const near = names.find((other) => name.length > 1 && other.startsWith(name)) ?? nearest(name, names);
  return new UsageError(
    `${command.name}: unknown option ${rawName}${near === undefined ? `; see frugal ${command.name} --help` : `. Did you mean --${near}?`}`,
  );
}
