/** Set-up does what is missing, once; says which backend will run; and never fails for want of a compiler. */
import { spawnSync } from "node:child_process";
import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const project = fileURLToPath(new URL("../..", import.meta.url));
let root: string;

const write = (path: string, content: string): void => {
  mkdirSync(join(root, dirname(path)), { recursive: true });
  writeFileSync(join(root, path), content);
};
const lock = (packages: object): string => JSON.stringify({ lockfileVersion: 3, packages });

/** Runs set-up in the copy; `env` replaces the environment. */
function setup(env: Record<string, string> = {}): { readonly output: string; readonly status: number | null } {
  const { stdout, stderr, status } = spawnSync(process.execPath, ["scripts/setup.mjs"], {
    cwd: root,
    encoding: "utf8",
    env: { PATH: "", ...env },
  });
  return { output: stdout + stderr, status };
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "frugal-setup-"));
  cpSync(join(project, "scripts"), join(root, "scripts"), { recursive: true });
  for (const file of ["tsconfig.json", "tsconfig.build.json"]) cpSync(join(project, file), join(root, file));
  write("package.json", '{ "name": "copy", "type": "module" }');
  write("package-lock.json", lock({ "": {}, "node_modules/typescript": { version: "7.0.0" } }));
  write("node_modules/.package-lock.json", lock({ "node_modules/typescript": { version: "7.0.0" } }));
  for (const name of ["typescript", "@typescript", "@types", "undici-types", "rolldown", "@rolldown", "@oxc-project"]) {
    const installed = join(project, "node_modules", name);
    if (existsSync(installed)) symlinkSync(installed, join(root, "node_modules", name));
  }
  write("src/cli/main.ts", "export const answer: number = 42;\n");
  write("src/cli/main.test.ts", "export const test: number = 1;\n");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("compiles once, again where a source changed or went, and never for a test", () => {
  expect(setup().output).toContain("compiled TypeScript");
  expect(readFileSync(join(root, "dist/cli/main.js"), "utf8")).toContain("42");
  expect(existsSync(join(root, "dist/cli/main.test.js"))).toBe(false);
  expect(setup().output).not.toContain("compiled");
  appendFileSync(join(root, "src/cli/main.test.ts"), "// more\n");
  expect(setup().output).not.toContain("compiled");
  write("src/cli/second.ts", "export const second: number = 2;\n");
  expect(setup().output).toContain("compiled TypeScript");
  expect(existsSync(join(root, "dist/cli/second.js"))).toBe(true);
  rmSync(join(root, "src/cli/second.ts"));
  expect(setup().output).toContain("compiled TypeScript");
  expect(existsSync(join(root, "dist/cli/second.js"))).toBe(false);
});

test("bundles the command line, and says where it cannot", () => {
  write("src/cli/second.ts", "export const second: number = 2;\n");
  write("src/cli/main.ts", 'const { second } = await import("./second.ts");\nconsole.log(second);\n');
  expect(setup()).toMatchObject({ status: 1, output: expect.stringContaining("was not bundled") }); // nothing may be awaited on its top level
  write("src/cli/main.ts", 'import("./second.ts").then(({ second }) => console.log(second));\n');
  expect(setup().status).toBe(0);
  expect(readFileSync(join(root, "dist/cli/bundle/main.cjs"), "utf8")).toContain("second");
});

test("counts type errors and still compiles", () => {
  write("src/cli/main.ts", 'export const answer: number = "42";\n');
  const { output, status } = setup();
  expect(output).toContain("with 1 type errors");
  expect(output).toContain("TS2322");
  expect(status).toBe(0);
});

test.each([
  ["another version", { "node_modules/typescript": { version: "6.0.0" } }],
  ["nothing", {}],
])("installs where node_modules holds %s, and fails clearly where npm does", (_name, installed) => {
  write("node_modules/.package-lock.json", lock(installed));
  const { output, status } = setup(); // there is no npm on an empty PATH
  expect(output).toContain("installing dependencies");
  expect(output).toContain("npm ci failed");
  expect(status).toBe(1);
});

test("does not miss a package that is optional here", () => {
  write(
    "package-lock.json",
    lock({ "": {}, "node_modules/typescript": { version: "7.0.0" }, "node_modules/x": { version: "1.0.0", optional: true } }),
  );
  expect(setup().output).not.toContain("installing");
});

test("without a compiler, without the native sources, or where the build fails: another backend, and why", () => {
  expect(setup().output).toMatch(/backend: reference \(slow: native\/build.mjs is missing/);
  write("wasm/frugal-simd.wasm", "");
  expect(setup().output).toMatch(/backend: wasm \(native is faster: native\/build.mjs is missing/);
  write("native/build.mjs", "console.error('no such header'); process.exit(1);\n");
  expect(setup().output).toMatch(/backend: wasm \(.*no C\+\+ compiler found/);
  const failed = setup({ CXX: "some-compiler" });
  expect(failed.output).toContain("no such header");
  expect(failed.output).toMatch(/backend: wasm \(.*did not build with some-compiler/);
  expect(failed.status).toBe(0);
});

test("builds the native core once, again where its sources or the compiler change", () => {
  write("native/build.mjs", "import { appendFileSync } from 'node:fs'; appendFileSync('built.txt', process.env.CXX + ' ');\n");
  const built = (CXX: string): string => {
    expect(setup({ CXX }).output).toContain(`backend: native (built with ${CXX})`);
    return readFileSync(join(root, "built.txt"), "utf8");
  };
  expect(built("one")).toBe("one ");
  expect(built("one")).toBe("one ");
  expect(built("two")).toBe("one two ");
  write("native/kernels/matmul.cpp", "// new\n");
  expect(built("two")).toBe("one two two ");
});

test("finds clang before g++ on the PATH", () => {
  write("native/build.mjs", "console.log(1);\n");
  const tool = (name: string): void => writeFileSync(join(root, "tools", name), "#!/bin/sh\n", { mode: 0o755 });
  mkdirSync(join(root, "tools"));
  tool("g++");
  expect(setup({ PATH: join(root, "tools") }).output).toContain("built with g++");
  tool("clang++-16");
  expect(setup({ PATH: join(root, "tools") }).output).toContain("built with clang++-16");
});
