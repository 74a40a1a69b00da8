/** One process: run to its end, timed, with its output and, where asked, the most memory it had. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";

export interface ChildOptions {
  readonly signal: AbortSignal;
  /** Learn the most resident memory too. */
  readonly measuresMemory?: boolean;
  /** Gets what it says on stderr as it comes. */
  readonly onWords?: (text: string) => void;
  /** GNU time; where it is not, what Linux says of the process while it lives is read again and again. */
  readonly timeTool?: string;
}

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  /** From the start of the process until it is gone. */
  readonly seconds: number;
  /** Resident, the pages of mapped files included; absent where it was not asked for. */
  readonly peakBytes?: number;
}

/** Of each stream, this much of the end is kept. */
const keptCharacters = 1 << 24;
const limitMilliseconds = 3_600_000;

/** Rejects where the program can't be started, ends with another code than 0, or takes an hour; the message ends with what it said last. */
export async function runChild(program: string, args: readonly string[], options: ChildOptions): Promise<Finished> {
  const { signal, measuresMemory = false, timeTool = "/usr/bin/time" } = options;
  const timed = measuresMemory && isTimeTool(timeTool);
  const started = performance.now();
  const child = spawn(timed ? timeTool : program, timed ? ["-f", "%M", program, ...args] : args, {
    stdio: ["ignore", "pipe", "pipe"],
    signal: AbortSignal.any([signal, AbortSignal.timeout(limitMilliseconds)]),
  });
  const [stdout, stderr] = [tail(child.stdout), tail(child.stderr)];
  if (options.onWords !== undefined) child.stderr.on("data", options.onWords);
  const watch = measuresMemory && !timed ? watchMemory(child.pid) : undefined;
  const { code, seconds } = await new Promise<{ readonly code: number | string; readonly seconds: number }>((resolve, reject) => {
    let took = 0;
    child.once("error", reject);
    child.once("exit", () => (took = (performance.now() - started) / 1000));
    child.once("close", (number, name) => resolve({ code: number ?? name ?? "?", seconds: took }));
  }).finally(() => watch?.stop());
  if (code !== 0) throw new Error(`${basename(program)}: ended with ${code}: ${lastLine(stderr()) || "it said nothing"}`);
  if (!measuresMemory) return { stdout: stdout(), stderr: stderr(), seconds };
  const peakBytes = timed ? Number(lastLine(stderr())) * 1024 : watch!.peakBytes();
  if (!(peakBytes > 0)) throw new Error(`${basename(program)}: its memory can't be measured here; install GNU time as ${timeTool}`);
  return { stdout: stdout(), stderr: stderr(), seconds, peakBytes };
}

/** GNU's: others have no -f. */
const isTimeTool = (path: string): boolean =>
  existsSync(path) && /^\d+\s*$/.test(String(spawnSync(path, ["-f", "%M", process.execPath, "--version"]).stderr));

/** Linux keeps a process's highest resident size; read until it is gone, as the record goes with it. */
function watchMemory(pid: number | undefined): { peakBytes(): number; stop(): void } {
  let peak = 0;
  const timer = setInterval(() => {
    try {
      peak = Math.max(peak, Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024);
    } catch {
      // Gone, or not Linux: then the peak stays 0.
    }
  }, 2);
  return { peakBytes: () => peak, stop: () => clearInterval(timer) };
}

function tail(stream: NodeJS.ReadableStream): () => string {
  let text = "";
  stream.setEncoding("utf8");
  stream.on("data", (part: string) => (text = (text + part).slice(-keptCharacters)));
  return () => text;
}

const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1)!.trim();
