/** The machine: its name, its limits as the native core measures them, and how much of its time others took. */
import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import type { Entrant } from "../claim.ts";
import { runChild } from "./child.ts";

export type Calibration = "bandwidth" | "f32" | "int8";

interface Reading {
  /** Bytes or operations a second. */
  readonly rate: number;
  readonly instructionSet?: string;
}

const program = fileURLToPath(new URL("../calibrate.js", import.meta.url));

/** In a process of its own, as its buffers would count as memory of those that are started later. */
export async function calibrate(kind: Calibration, threads: number, signal: AbortSignal): Promise<Reading> {
  const { stdout } = await runChild(process.execPath, [program, kind, String(threads)], { signal });
  return JSON.parse(stdout) as Reading;
}

/** A row of a claim's table: a limit of the machine, read in each round like the others; in billions a second. */
export const limitOf = (kind: Calibration): Entrant => ({
  contestant: "machine",
  variant: kind,
  sample: async ({ threads, signal }) => (await calibrate(kind, threads, signal)).rate / 1e9,
});

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memory: string;
  readonly system: string;
  readonly node: string;
}

export const describeMachine = (): Machine => ({
  processor: cpus()[0]?.model.trim() ?? "unknown",
  cores: cpus().length,
  memory: `${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
  system: `${process.platform} ${process.arch}`,
  node: process.versions.node,
});

export interface ProcessorTime {
  readonly busy: number;
  /** Taken by other guests of the same host. */
  readonly stolen: number;
}

/** Since start, in ticks; undefined where the system does not say. */
export function processorTime(): ProcessorTime | undefined {
  try {
    return parseProcessorTime(readFileSync("/proc/stat", "utf8"));
  } catch {
    return undefined;
  }
}

/** The first line of /proc/stat: user, nice, system, idle, waiting, two kinds of interrupts, stolen. */
export function parseProcessorTime(text: string): ProcessorTime | undefined {
  const ticks = /^cpu +([\d ]+)/.exec(text)?.[1]?.trim().split(/ +/).map(Number);
  if (ticks === undefined || ticks.length < 8) return undefined;
  const [user, nice, system, , , interrupts, softInterrupts, stolen] = ticks as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return { busy: user + nice + system + interrupts + softInterrupts + stolen, stolen };
}
