/** The examples in doc comments and in README.md compile against the public API; those marked "run" run. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, parse } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Example, examplesOf } from "./examples.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "frugal-examples-"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the compiler says of the examples, each a module of its own that may import "frugal". */
function compile(examples: readonly Example[]): readonly string[] {
  const options = {
    rootDir: parse(root).root,
    noEmit: true,
    isolatedDeclarations: false,
    noUnusedLocals: false,
    typeRoots: [join(root, "node_modules/@types")],
    paths: {
      frugal: [join(root, "src/index.ts")],
      "frugal/browser": [join(root, "src/browser/index.ts")],
      "frugal/server": [join(root, "src/server/serve.ts")],
      "frugal/ai-sdk": [join(root, "src/ai-sdk/index.ts")],
      // Of those who use the examples; the folder is outside of the repository.
      ai: [join(root, "node_modules/ai")],
    },
  };
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ extends: join(root, "tsconfig.json"), compilerOptions: options, include: ["*.ts"] }),
  );
  const files = examples.map((example, i) => {
    const file = `example-${i}.ts`;
    writeFileSync(join(folder, file), `${example.code}\nexport {};\n`);
    return file;
  });
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const { stdout } = spawnSync(process.execPath, [compiler, "-p", folder, "--pretty", "false"], { cwd: folder, encoding: "utf8" });
  return stdout.split("\n").flatMap((line) => {
    const found = /^(example-\d+\.ts)\((\d+),\d+\): (.*)$/.exec(line);
    if (line.startsWith("error TS")) throw new Error(line); // of the configuration
    return found ? [`${examples[files.indexOf(found[1]!)]!.place} (line ${found[2]}): ${found[3]}`] : [];
  });
}

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
  .map((path) => `src/${path}`);
const examples = sources.flatMap((path) => examplesOf(path, readFileSync(join(root, path), "utf8")));
const readme = examplesOf("README.md", `/**\n${readFileSync(join(root, "README.md"), "utf8")}\n*/`);

test("examples are found with their place and mark", () => {
  const text = "const a = 1;\n/** Adds.\n * ```ts run\n * f(1);\n *   g();\n * ```\n */\nconst f = 2;\n/**\n * ```ts\n * h();\n * ```\n */";
  expect(examplesOf("x.ts", text)).toEqual([
    { place: "x.ts:3", code: "f(1);\n  g();", runs: true },
    { place: "x.ts:10", code: "h();", runs: false },
  ]);
  expect(() => examplesOf("x.ts", "/** ```ts\n * f();\n */")).toThrow("x.ts:1: the example has no closing fence");
});

test("a wrong example is found", () => {
  const wrong = { place: "x.ts:3", code: 'const size: number = "three";', runs: false };
  expect(compile([wrong, { place: "x.ts:9", code: "const size: number = 3;", runs: false }])).toEqual([
    expect.stringMatching(/^x\.ts:3 \(line 1\): error TS2322/),
  ]);
});

test.skipIf(!existsSync(join(root, "src/index.ts")))("all examples compile", () => {
  expect(compile([...examples, ...readme])).toEqual([]);
});

/** Runs an example as a module; rejects with what it throws. */
async function run({ code, place }: Example): Promise<void> {
  const file = join(folder, `${place.replace(/\W/g, "-")}.ts`);
  writeFileSync(file, code);
  await import(pathToFileURL(file).href);
}

test("an example that throws is found", async () => {
  await run({ place: "x.ts:1", code: "const size: number = 3;\nif (size !== 3) throw new Error();", runs: true });
  await expect(run({ place: "x.ts:2", code: 'throw new Error("wrong");', runs: true })).rejects.toThrow("wrong");
});

test.each(examples.filter((example) => example.runs))("$place runs", run);
