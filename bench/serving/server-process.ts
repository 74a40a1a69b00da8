/** A server in a process of its own: started, waited for, measured, and ended. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

export interface ServerProcess {
  readonly url: string;
  readonly pid: number;
  /** Bytes resident now, and at most so far; undefined where the system does not say. */
  memory(): { readonly resident: number; readonly peak: number } | undefined;
  /** Open files and sockets; undefined where the system does not say. */
  openFiles(): number | undefined;
  /** Its exit code, once it has ended by itself. */
  ended(): number | undefined;
  /** What it said last on stderr. */
  lastWords(): string;
  /** SIGTERM, and its exit code; SIGKILL after `patience` milliseconds. */
  stop(patience?: number): Promise<number | null>;
}

/** From bench/build/serving/, where this runs. */
export const frugalProgram: string = fileURLToPath(new URL("../../../bin/frugal", import.meta.url));

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Resolves when the server answers 200 at /health. Rejects with its last words where it ends before, or takes two minutes. */
export async function startServer(program: string, args: readonly string[], port: number, signal: AbortSignal): Promise<ServerProcess> {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (words = (words + text).slice(-4000)));
  const exit = new Promise<number | null>((resolve) => {
    child.once("exit", (code) => resolve(code));
    child.once("error", () => resolve(null));
  });
  const server: ServerProcess = {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    memory: () => memoryOf(child.pid),
    openFiles() {
      try {
        return readdirSync(`/proc/${child.pid}/fd`).length;
      } catch {
        return undefined;
      }
    },
    ended: () => child.exitCode ?? undefined,
    lastWords: () => words.trimEnd().split("\n").at(-1) ?? "",
    async stop(patience = 10_000) {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), patience);
      return exit.finally(() => clearTimeout(timer));
    },
  };
  const deadline = performance.now() + 120_000;
  for (;;) {
    try {
      signal.throwIfAborted();
      if ((await fetch(`${server.url}/health`, { signal })).ok) return server;
    } catch (error) {
      if (signal.aborted) {
        await server.stop();
        throw error;
      }
    }
    if (child.exitCode !== null || child.pid === undefined || performance.now() > deadline) {
      await server.stop();
      throw new Error(`${basename(program)}: does not serve (exit code ${child.exitCode ?? "none"}): ${server.lastWords()}`);
    }
    await new Promise((resolve) => void setTimeout(resolve, 50));
  }
}

function memoryOf(pid: number | undefined): { readonly resident: number; readonly peak: number } | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const read = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? NaN) * 1024;
    return { resident: read("VmRSS"), peak: read("VmHWM") };
  } catch {
    return undefined;
  }
}
