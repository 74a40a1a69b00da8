/**
 * What each rank of collectives.test.ts runs, as a thread or under mpirun: `rank-program SCENARIO WORKERS`. A rank that is left alone says so
 * on stderr and ends with 1.
 */
import { withRanks } from "../../src/training/collectives/open.ts";
import type { Collective } from "../../src/training/collective.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { dataParallel } from "../../src/training/parallel/data-parallel.ts";
import { runTraining } from "../../src/training/run.ts";
import { adamw } from "../../src/training/update-rules/adamw.ts";
import { toySource, toyTrainable } from "../toys/toy-trainable.ts";
import { collectiveCases, numbersOf } from "./collective.ts";

const scenarios: Readonly<Record<string, (collective: Collective) => Promise<unknown>>> = {
  async conformance(collective) {
    for (const [name, run] of collectiveCases)
      await run(collective).catch((error: unknown) => Promise.reject(new Error(`${name}: ${String(error)}`)));
    return collectiveCases.length;
  },
  /** Rank 1 is killed between two calls. */
  async killed(collective) {
    await collective.barrier();
    if (collective.rank === 1) endNow(collective.name);
    await collective.allReduce(numbersOf(collective.rank, 1000));
  },
  /** Rank 1 computes for ever: longer than the time-out, and without a turn for anybody else. */
  async stalled(collective) {
    await collective.barrier();
    if (collective.rank === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 6000);
    await collective.allReduce(numbersOf(collective.rank, 1000));
  },
  async mismatch(collective) {
    await collective.allReduce(numbersOf(collective.rank, 1000 + collective.rank));
  },
  /** A rank's own error. */
  async throws(collective) {
    await collective.barrier();
    if (collective.rank === 1) throw new Error("no disk space");
    await collective.barrier();
  },
  async train(collective) {
    const made = dataParallel(toyTrainable(), adamw(), createReferenceBackend(), { collective, evaluates: false, bucketBytes: 256 });
    const { losses } = await runTraining({ ...made, batches: toySource(), steps: 6, rateAt: () => 0.01 });
    return losses;
  },
};

function endNow(collective: string): void {
  if (collective === "mpi") process.kill(process.pid, "SIGKILL");
  else process.exit(7);
}

const [scenario = "", workers = "1"] = process.argv.slice(2);
withRanks(
  {
    workers: Number(workers),
    script: process.argv[1]!,
    args: process.argv.slice(2),
    timeoutMilliseconds: scenario === "conformance" ? 20_000 : 1500,
    onError: (rank, error) => process.stderr.write(`rank-program: rank ${rank}: ${error.message}\n`),
  },
  async (collective) => {
    const result = await scenarios[scenario]!(collective);
    if (collective.rank === 0) process.stdout.write(`${JSON.stringify({ name: collective.name, size: collective.size, result })}\n`);
  },
).catch((error: unknown) => {
  process.stderr.write(`rank-program: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
