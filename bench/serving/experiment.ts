/** What an experiment of docs/serving.md is: one mechanism, one switch, everything else the same. */
import type { Library } from "./library.ts";

export interface Setting {
  readonly library: Library;
  /** A .gguf file or the name of an embedded model. */
  readonly model: string;
  readonly threads: number;
  /** Small enough for a test: seconds, and numbers that mean nothing. */
  readonly quick: boolean;
  /** The folder with recorded loads, if there is one. */
  readonly traces?: string;
  readonly signal: AbortSignal;
  /** Loads a server with `frugal bench serve` and these options; the share of a processor that its client used. */
  load(url: string, options: readonly string[]): Promise<number>;
  say(text: string): void;
}

export interface Experiment<Result = unknown> {
  /** As on the command line, and in docs/serving.json. */
  readonly name: string;
  run(setting: Setting): Promise<Result>;
  /** GitHub's Markdown for the page. */
  table(result: Result): string;
  /** SVG by name of the file. */
  plots?(result: Result): Readonly<Record<string, string>>;
}
