/** Benchmarks that are programs of their own, whose output is a part of docs/serving.md too. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { SoakResult } from "./soak.ts";

export interface ProgramSetting {
  readonly model: string;
  readonly threads: number;
  readonly llamaCpp: string | undefined;
  readonly soakMinutes: number;
}

export interface Program {
  /** Of its place on the page. */
  readonly name: string;
  /** In bench/. */
  readonly file: string;
  args(setting: ProgramSetting): readonly string[];
  /** Markdown of what it printed. */
  table(stdout: string): string;
}

const asPrinted = (stdout: string): string => `\`\`\`\n${stdout.trimEnd()}\n\`\`\``;

export const programs: readonly Program[] = [
  {
    name: "peers",
    file: "serve",
    args: ({ model, threads, llamaCpp }) => [
      model,
      "--threads",
      String(threads),
      "--repeat",
      "3",
      ...(llamaCpp === undefined ? [] : ["--llama-cpp", llamaCpp]),
    ],
    table: (stdout) => stdout.trimEnd(),
  },
  {
    name: "adapters",
    file: "adapters",
    args: ({ model, threads }) => ["--model", model, "--threads", String(threads), "--repeat", "3"],
    table: asPrinted,
  },
  {
    name: "speculation",
    file: "speculation",
    args: ({ model, threads }) => ["--model", model, "--threads", String(threads), "--repeat", "3", "--tokens", "64"],
    table: asPrinted,
  },
  {
    name: "soak",
    file: "soak",
    args: ({ model, threads, soakMinutes }) => [model, "--threads", String(threads), "--minutes", String(soakMinutes)],
    table(stdout) {
      const { result } = JSON.parse(stdout) as { readonly result: SoakResult };
      const { seconds, sent, answered, aborted, disconnected, malformed, refusedAsBusy, violations, quiet, memorySlope, leftOut } = result;
      const megabytes = (bytes: number | undefined): string => (bytes === undefined ? "?" : `${(bytes / 1e6).toFixed(0)} MB`);
      const [first, last] = [quiet[0], quiet.at(-1)];
      return [
        "| | |",
        "|---|---|",
        `| time | ${(seconds / 60).toFixed(1)} minutes |`,
        `| requests | ${sent}: ${answered} answered, ${aborted} aborted, ${disconnected} broken off, ${malformed} malformed, ${refusedAsBusy} refused as too many |`,
        `| wrong | ${violations.length === 0 ? "nothing" : violations.map((violation) => violation.slice(0, 120).replaceAll("|", "\\|")).join("; ")} |`,
        `| left out | ${leftOut.length === 0 ? "nothing" : `${leftOut.length} kinds of requests that the server does not answer yet`} |`,
        `| memory, quiet at first and at last | ${megabytes(first?.resident)}, ${megabytes(last?.resident)}${memorySlope === undefined ? "" : `; ${(memorySlope / 1e6).toFixed(2)} MB a minute`} |`,
        `| open files, first and last | ${first?.openFiles ?? "?"}, ${last?.openFiles ?? "?"} |`,
      ].join("\n");
    },
  },
];

/** From bench/build/serving/, where this runs; undefined where there is no such program. */
export function programPath({ file }: Program): string | undefined {
  const path = fileURLToPath(new URL(`../${file}.js`, import.meta.url));
  return existsSync(path) ? path : undefined;
}
