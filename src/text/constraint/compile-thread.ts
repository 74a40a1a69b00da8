/** The thread that compiles constraints: what it is sent it answers, one after the other. It is ended where one takes too long. */
import { FrugalError } from "../../tensor/error.ts";
import { compileConstraint } from "./compile.ts";
import type { Answer, Task } from "./compiling.ts";

const threads = globalThis.process?.getBuiltinModule?.("node:worker_threads");
const port = threads?.parentPort;
port?.on("message", ({ constraint, milliseconds }: Task) => {
  let answer: Answer;
  try {
    answer = { automaton: compileConstraint(constraint, milliseconds) };
  } catch (error) {
    // Errors lose their class on the way between threads.
    const { code, message, fields } =
      error instanceof FrugalError ? error : new FrugalError("FRUGAL_INTERNAL", `constraint: ${String(error)}`);
    answer = { code, message, fields };
  }
  port.postMessage(answer);
});
