/**
 * Compiles away from the thread that writes texts, where there are threads: a grammar may take seconds until it is found to be too much. Where
 * there are none, the same limits hold and the caller waits.
 */
import { type ErrorCode, type ErrorFields, FrugalError } from "../../tensor/error.ts";
import type { Automaton } from "./automaton.ts";
import type { Constraint } from "../constraint.ts";
import { compileConstraint } from "./compile.ts";

type Worker = import("node:worker_threads").Worker;

export interface Task {
  readonly constraint: Constraint;
  readonly milliseconds: number;
}

export type Answer =
  | { readonly automaton: Automaton }
  | { readonly code: ErrorCode; readonly message: string; readonly fields: ErrorFields };

export interface Compiling {
  /** One after the other. @throws what `compileConstraint` throws. */
  compile(task: Task): Promise<Automaton>;
  dispose(): Promise<void>;
}

/** Beyond the work's own limit: what starting the thread and handing over may take. */
const graceMilliseconds = 2_000;
const mostHeapMegabytes = 512;

/** @param script the thread's program; by default the one beside this module, told from a folder that the command line's bundle shares. */
export function startCompiling(script: URL = new URL("../../text/constraint/compile-thread.js", import.meta.url)): Compiling {
  let worker: Worker | undefined;
  let last: Promise<unknown> = Promise.resolve();
  const canThread = isThere(script);

  const inThread = async (task: Task): Promise<Automaton> => {
    const { Worker: Thread } = globalThis.process.getBuiltinModule("node:worker_threads");
    worker ??= new Thread(script, { resourceLimits: { maxOldGenerationSizeMb: mostHeapMegabytes } });
    const running = worker;
    running.ref();
    const end = (): void => {
      worker = undefined;
      void running.terminate();
    };
    const outcome = await new Promise<Answer | Error>((resolve) => {
      const timer = setTimeout(() => resolve(tooLong(task.milliseconds)), task.milliseconds + graceMilliseconds);
      const settle = (answer: Answer | Error): void => {
        clearTimeout(timer);
        resolve(answer);
      };
      running.removeAllListeners();
      running.once("message", settle);
      running.once("error", (error) => settle(diedOf(error)));
      running.once("exit", () => settle(diedOf(undefined)));
      running.postMessage(task);
    });
    if (outcome instanceof Error) {
      end();
      throw outcome;
    }
    // Idle, it keeps no process alive.
    running.unref();
    if ("automaton" in outcome) return outcome.automaton;
    throw new FrugalError(outcome.code, outcome.message, outcome.fields);
  };

  return {
    compile(task) {
      const turn = last.then(() => (canThread ? inThread(task) : compileConstraint(task.constraint, task.milliseconds)));
      last = turn.catch(() => {});
      return turn;
    },
    async dispose() {
      const running = worker;
      worker = undefined;
      await running?.terminate();
    },
  };
}

const tooLong = (milliseconds: number): FrugalError =>
  new FrugalError("FRUGAL_BAD_ARGUMENT", `constraint: compiling takes longer than ${milliseconds} ms; make it simpler`, { milliseconds });

function diedOf(error: unknown): FrugalError {
  const isMemory = error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
  if (isMemory)
    return new FrugalError("FRUGAL_BAD_ARGUMENT", `constraint: compiling takes more than ${mostHeapMegabytes} MB; make it simpler`);
  return new FrugalError("FRUGAL_INTERNAL", `constraint: the compiling thread ended${error === undefined ? "" : `: ${String(error)}`}`);
}

/** Whether the thread's program can be started: not in browsers, and not from sources that are not compiled. */
function isThere(script: URL): boolean {
  if (script.protocol !== "file:") return false;
  const files = globalThis.process?.getBuiltinModule?.("node:fs");
  return files !== undefined && files.existsSync(script);
}
