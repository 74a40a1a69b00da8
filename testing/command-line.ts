/** Runs the command line as people do, in a process of its own, from the sources as they are. */
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandLine {
  /** Where tests may leave files. */
  readonly folder: string;
  run(
    args: readonly string[],
    options?: {
      readonly input?: string;
      readonly onOutput?: (stdout: string, kill: (signal: NodeJS.Signals) => void) => void;
      /** Called when it has been started. */
      readonly whileRunning?: (kill: (signal: NodeJS.Signals) => void) => void;
    },
  ): Promise<Finished>;
  remove(): void;
}

/** Compiles and bundles the sources in a temporary folder that looks like the package. */
export function compileCommandLine(): CommandLine {
  const folder = mkdtempSync(join(tmpdir(), "frugal-command-line-"));
  cpSync(join(root, "bin"), join(folder, "bin"), { recursive: true });
  for (const name of ["models", "native", "node_modules", "package.json", "wasm"]) symlinkSync(join(root, name), join(folder, name));
  const options = {
    rootDir: join(root, "src"),
    outDir: join(folder, "dist"),
    noEmit: false,
    noCheck: true,
    declaration: false,
    isolatedDeclarations: false,
    typeRoots: [join(root, "node_modules/@types")],
  };
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: options,
      include: [join(root, "src/**/*.ts")],
      exclude: [join(root, "src/**/*.test.ts")],
    }),
  );
  const compiled = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder], { encoding: "utf8" });
  if (compiled.status !== 0) throw new Error(`the sources do not compile: ${compiled.stdout}`);
  const bundled = spawnSync(process.execPath, [join(root, "scripts/bundle.mjs"), join(folder, "dist")], { encoding: "utf8" });
  if (bundled.status !== 0) throw new Error(`the command line is not bundled: ${bundled.stderr}`);
  const main = join(folder, "bin/frugal");
  return {
    folder,
    run: (args, { input = "", onOutput, whileRunning } = {}) =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [main, ...args], { stdio: "pipe" });
        let [stdout, stderr] = ["", ""];
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
          stdout += text;
          onOutput?.(stdout, (signal) => child.kill(signal));
        });
        child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
        child.on("error", reject);
        whileRunning?.((signal) => child.kill(signal));
        child.on("close", (code) => resolve({ code, stdout, stderr }));
        child.stdin.on("error", () => undefined);
        child.stdin.end(input);
      }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
