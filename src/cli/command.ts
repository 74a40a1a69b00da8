/** What a command says about itself: enough to read its arguments, to print its help, and to run it. */
import { speculationModes } from "../serving/strategy.ts";
import { embeddedNames } from "../models/embedded/names.ts";

/** What an option's value must be. */
export type ValueKind = "text" | "integer" | "number" | "integers" | readonly string[];

export interface OptionSpec {
  /** As it is written after the two dashes. */
  readonly name: string;
  readonly help: string;
  /** Absent for a flag. */
  readonly value?: { readonly label: string; readonly kind: ValueKind; readonly least?: number };
  /** May be given more than once. */
  readonly many?: boolean;
}

export interface ArgumentSpec {
  readonly label: string;
  readonly help: string;
  readonly optional?: boolean;
  /** Takes all that follow; only the last one may. */
  readonly many?: boolean;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly arguments: readonly ArgumentSpec[];
  readonly options: readonly OptionSpec[];
  /** Further lines of help. */
  readonly notes?: readonly string[];
  run(given: Given): Promise<void>;
}

/** What was given on the command line, checked against the command's specification. */
export interface Given {
  readonly arguments: readonly string[];
  flag(name: string): boolean;
  text(name: string): string | undefined;
  texts(name: string): readonly string[];
  number(name: string): number | undefined;
  numbers(name: string): readonly number[] | undefined;
}

/** Wrong usage: exit code 2. */
export class UsageError extends Error {}

/** Options that every command takes. */
export const commonOptions: readonly OptionSpec[] = [
  { name: "json", help: "print one JSON object on stdout and nothing else there" },
  {
    name: "threads",
    value: { label: "N", kind: "integer", least: 1 },
    help: "threads that compute together (default: all this process may use)",
  },
  {
    name: "backend",
    value: { label: "NAME", kind: ["native", "wasm", "reference"] },
    help: "native, wasm or reference (default: the first of these that runs here; frugal doctor says which)",
  },
  { name: "help", help: "show this help" },
];

export const model: ArgumentSpec = {
  label: "MODEL",
  help: `a .gguf file, a directory in Hugging Face layout, hf:owner/name[:file], or a model that comes along: ${embeddedNames.join(", ")}`,
};
export const contextOption: OptionSpec = {
  name: "context",
  value: { label: "N", kind: "integer", least: 1 },
  help: "tokens a text may have, prompt included (default: the model's, at most 4096)",
};
export const cacheOption: OptionSpec = {
  name: "kv",
  value: { label: "FORMAT", kind: ["f16", "q8_0", "q4_0", "f32"] },
  help: "how keys and values are kept: f16, q8_0, q4_0 (values only; keys as q8_0) or f32 (default: f16)",
};
export const adapterOptions: readonly OptionSpec[] = [
  {
    name: "adapter",
    value: { label: "PATH", kind: "text" },
    help: "an adapter for MODEL: a directory that PEFT or frugal tune wrote, a .safetensors file of one, or a GGUF file of a LoRA",
  },
  {
    name: "adapter-alpha",
    value: { label: "X", kind: "number" },
    help: "alpha of a LoRA in a .safetensors file that has no adapter_config.json",
  },
];
export const speculationOptions: readonly OptionSpec[] = [
  {
    name: "draft",
    value: { label: "MODEL", kind: "text" },
    help: "a smaller model with the same tokens, which proposes what MODEL then verifies (default: earlier text is looked up)",
  },
  {
    name: "speculation",
    value: { label: "MODE", kind: speculationModes },
    help: "when proposals are verified: auto where that is faster, always or off; the text is the same (default: auto)",
  },
];
export const idsOption: OptionSpec = {
  name: "ids",
  value: { label: "1,2,3", kind: "integers", least: 0 },
  help: "token ids, separated by commas",
};
