/** Each lint rule fails on a planted fault, and stays silent on the nearest thing that is allowed. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const leaf = "export const leaf = 1;\n";
const reexport = (from: string): string => `export { leaf } from "${from}";\n`;
const system = 'import { cpus } from "node:os";\nexport const count = cpus;\n';
const global = "export const folder = process.cwd;\n";
const layers = "eslint(no-restricted-imports)";

/** Path, content, and the rule that must speak of it; undefined where nothing may. */
const planted: readonly (readonly [path: string, content: string, rule: string | undefined])[] = [
  ["src/index.ts", leaf, undefined],
  ["src/graph/leaf.ts", leaf, undefined],
  ["src/text/leaf.ts", leaf, undefined],
  ["src/tensor/leaf.ts", leaf, undefined],
  ["src/tensor/formats/leaf.ts", leaf, undefined],
  ["testing/leaf.ts", leaf, undefined],
  // Layers: lower rows are open; higher rows, neighbours, the public API and what lies outside src are not.
  ["src/graph/lower.ts", reexport("../tensor/leaf.ts"), undefined],
  ["src/graph/higher.ts", reexport("../text/leaf.ts"), layers],
  ["src/graph/higher.test.ts", reexport("../text/leaf.ts"), layers],
  ["src/graph/lazy.ts", 'export const later = () => import("../text/leaf.ts");\n', layers],
  ["src/graph/typed.ts", 'import type { leaf } from "../text/leaf.ts";\nexport type Leaf = typeof leaf;\n', layers],
  ["src/formats/neighbour.ts", reexport("../text/leaf.ts"), layers],
  ["src/tensor/own.ts", reexport("./formats/leaf.ts"), undefined], // a folder named as a layer, inside a layer
  ["src/tensor/formats/deep.ts", reexport("../../graph/leaf.ts"), layers],
  ["src/tensor/a/b/deeper.ts", reexport("../../../graph/leaf.ts"), layers],
  ["src/cli/public.ts", reexport("../index.ts"), layers],
  ["src/ops/outside.ts", reexport("../../testing/leaf.ts"), layers],
  ["src/ops/outside.test.ts", reexport("../../testing/leaf.ts"), undefined],
  // node: modules and the globals of Node.
  ["src/graph/system.ts", system, layers],
  ["src/graph/system.test.ts", system, undefined],
  ["src/public.ts", system, layers],
  ["src/formats/gguf/files.ts", system, layers],
  ["src/formats/files.ts", system, undefined],
  ["src/backends/reference/system.ts", system, layers],
  ["src/backends/native/system.ts", system, undefined],
  ["src/training/collectives/mpi.ts", system, undefined],
  ["src/training/collectives/workers.ts", system, undefined],
  ["src/training/collectives/exchange.ts", system, layers],
  ["src/training/mpi.ts", system, layers],
  ["src/cli/system.ts", system, undefined],
  ["src/server/system.ts", system, undefined],
  ["src/cli/unprefixed.ts", system.replace("node:", ""), "unicorn(prefer-node-protocol)"],
  ["src/graph/global.ts", global, "eslint(no-restricted-globals)"],
  ["src/cli/global.ts", global, undefined],
  // Cycles: at run time they are faults, between types they are not.
  [
    "src/ops/odd.ts",
    'import { even } from "./even.ts";\nexport const odd = (n: number): boolean => n > 0 && even(n - 1);\n',
    "import(no-cycle)",
  ],
  [
    "src/ops/even.ts",
    'import { odd } from "./odd.ts";\nexport const even = (n: number): boolean => n === 0 || odd(n - 1);\n',
    "import(no-cycle)",
  ],
  ["src/ops/hen.ts", 'import type { Egg } from "./egg.ts";\nexport type Hen = { egg?: Egg };\n', undefined],
  ["src/ops/egg.ts", 'import type { Hen } from "./hen.ts";\nexport type Egg = { hen?: Hen };\n', undefined],
  // Length.
  ["src/ops/long.ts", leaf + "//\n".repeat(400), "eslint(max-lines)"],
  ["src/ops/full.ts", leaf + "//\n".repeat(399), undefined],
  // The rest.
  ["src/ops/default.ts", "export default 1;\n", "import(no-default-export)"],
  ["src/ops/any.ts", "export const f = (x: any): number => x;\n", "typescript(no-explicit-any)"],
  ["src/ops/silenced.ts", "// @ts-ignore\nexport const f: string = 1;\n", "typescript(ban-ts-comment)"],
  ["src/ops/useless.ts", "// oxlint-disable-next-line max-lines\nexport const f = 1;\n", "unused-directive"],
  ["src/ops/unused.ts", "const f = 1;\nexport const g = 2;\n", "eslint(no-unused-vars)"],
];

let folder: string;
let found: ReadonlyMap<string, readonly string[]>;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "frugal-lint-"));
  copyFileSync(join(root, "oxlint.config.mjs"), join(folder, "oxlint.config.mjs"));
  for (const [path, content] of planted) {
    mkdirSync(join(folder, dirname(path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  const oxlint = join(root, "node_modules/oxlint/bin/oxlint");
  const { stdout } = spawnSync(process.execPath, [oxlint, "--config", "oxlint.config.mjs", "--format", "json", "."], {
    cwd: folder,
    encoding: "utf8",
  });
  const report = JSON.parse(stdout) as { diagnostics: { filename: string; code?: string; severity: string; message: string }[] };
  const rules = new Map<string, string[]>();
  for (const { filename, code, message, severity } of report.diagnostics) {
    expect(severity, `${filename}: ${message}`).toBe("error");
    rules.set(filename, [...(rules.get(filename) ?? []), code ?? (message.includes("oxlint-disable") ? "unused-directive" : message)]);
  }
  found = rules;
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(planted)("%s", (path, _content, rule) => {
  expect(found.get(path) ?? []).toEqual(rule === undefined ? [] : [rule]);
});
