/** Collectives whose ranks are threads and processes: the conformance suite, the same losses, and ranks that are lost. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findMpi } from "../../src/training/collectives/mpi.ts";
import { collectiveCases } from "./collective.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;
let program: string;

beforeAll(() => {
  // Three folders deep, like the modules that look for the addon.
  folder = mkdtempSync(join(tmpdir(), "frugal-ranks-"));
  mkdirSync(join(folder, "a/b/c"), { recursive: true });
  symlinkSync(join(root, "native"), join(folder, "native"));
  program = join(folder, "a/b/c/rank-program.mjs");
  const bundler = join(root, "node_modules/rolldown/bin/cli.mjs");
  const source = join(root, "testing/conformance/rank-program.ts");
  const options = ["--file", program, "--format", "esm", "--platform", "node", "--no-codeSplitting"];
  const { status, stdout, stderr } = spawnSync(process.execPath, [bundler, source, ...options], { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`the program of the ranks is not bundled: ${stdout}${stderr}`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

function run(command: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr, milliseconds: performance.now() - started }));
  });
}

const withWorkers = (scenario: string, workers: number): Promise<Ended> => run(process.execPath, [program, scenario, String(workers)]);
const mpirun = ["--allow-run-as-root", "--oversubscribe", "--mca", "btl_vader_single_copy_mechanism", "none"];
const withMpi = (scenario: string, processes: number, options: readonly string[] = []): Promise<Ended> =>
  run("mpirun", [...mpirun, ...options, "-n", String(processes), process.execPath, program, scenario]);

const losses = async (ended: Promise<Ended>): Promise<number[]> => (JSON.parse((await ended).stdout) as { result: number[] }).result;

describe("threads", () => {
  it.each([1, 2, 4])("%i ranks conform", async (workers) => {
    const { stdout, stderr } = await withWorkers("conformance", workers);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({ name: workers === 1 ? "alone" : "local", size: workers, result: collectiveCases.length });
  });

  it("1, 2 and 4 ranks learn the same", async () => {
    const alone = await losses(withWorkers("train", 1));
    expect(alone.at(-1)).toBeLessThan(alone[0]!);
    for (const workers of [2, 4])
      (await losses(withWorkers("train", workers))).forEach((loss, i) => expect(Math.abs(loss / alone[i]! - 1)).toBeLessThan(1e-6));
  });

  it("a rank that ends is lost to all others at once", async () => {
    const { code, stderr, milliseconds } = await withWorkers("killed", 4);
    expect(code).toBe(1);
    expect(stderr.match(/rank 1 was lost; start all ranks again, from the last checkpoint/g)!.length).toBeGreaterThanOrEqual(1);
    expect(milliseconds).toBeLessThan(5000);
  });

  it("a rank that stalls is named after the time-out", async () => {
    const { code, stderr, milliseconds } = await withWorkers("stalled", 3);
    expect(code).toBe(1);
    expect(stderr).toMatch(/rank 1 did not arrive in time: nothing within 1.5 s of all-reduce/);
    expect(milliseconds).toBeLessThan(8000);
  });

  it("a rank's own error ends all, and is said", async () => {
    const { code, stderr } = await withWorkers("throws", 3);
    expect(code).toBe(1);
    expect(stderr).toMatch(/no disk space/);
    expect(stderr).toMatch(/rank 1 was lost/);
  });

  it("sizes that differ end all ranks", async () => {
    const { code, stderr } = await withWorkers("mismatch", 2);
    expect(code).toBe(1);
    expect(stderr).toMatch(/rank 1 calls all-reduce of length 1001 where rank 0 calls all-reduce of length 1000/);
  });
});

const mpi = findMpi();
const hasMpi = "addon" in mpi && spawnSync("mpirun", ["--version"]).status === 0;
it.runIf(process.env["CI"])("Open MPI is installed where everything is checked", () => expect(hasMpi, JSON.stringify(mpi)).toBe(true));

describe.skipIf(!hasMpi)("Open MPI (skipped where mpirun or its addon is missing)", () => {
  it.each([1, 2, 3])("%i ranks conform", async (processes) => {
    const { stdout, stderr, code } = await withMpi("conformance", processes);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ name: "mpi", size: processes, result: collectiveCases.length });
  });

  it("2 ranks learn what 2 threads learn, bit for bit", async () => {
    expect(await losses(withMpi("train", 2))).toEqual(await losses(withWorkers("train", 2)));
  });

  it("a killed rank ends the job, and is named", async () => {
    const { code, stderr, stdout, milliseconds } = await withMpi("killed", 2);
    expect(code).not.toBe(0);
    expect(`${stdout}${stderr}`).toMatch(/process rank 1 with PID \d+ on node \S+ exited on signal 9/);
    expect(milliseconds).toBeLessThan(8000);
  });

  it("where mpirun leaves the others alone, they name the killed rank after the time-out", async () => {
    // What mpirun then ends with says nothing of its processes.
    const { stderr, milliseconds } = await withMpi("killed", 3, ["--enable-recovery"]);
    expect(stderr).toMatch(/rank-program: collective: rank 1 (did not arrive in time|can't be reached)/);
    expect(milliseconds).toBeLessThan(10_000);
  });

  it("a stalled rank is named after the time-out", async () => {
    const { code, stderr, milliseconds } = await withMpi("stalled", 3);
    expect(code).toBe(1);
    expect(stderr).toMatch(/rank 1 did not arrive in time: nothing within 1.5 s of all-reduce/);
    expect(milliseconds).toBeLessThan(10_000);
  });

  it("sizes that differ end all ranks", async () => {
    const { code, stderr } = await withMpi("mismatch", 2);
    expect(code).toBe(1);
    expect(stderr).toMatch(/calls all-reduce of length 100[01] where rank [01] calls all-reduce of length 100[01]/);
  });

  it("workers and mpirun do not mix", async () => {
    const { code, stderr } = await run("mpirun", [...mpirun, "-n", "2", process.execPath, program, "conformance", "3"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/mpirun started 2 processes, each is a worker; leave out workers 3/);
  });
});
