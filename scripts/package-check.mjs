// node scripts/package-check.mjs: packs the package and looks at what would be published: publint on its description, attw on its types, what is in it,
// and how large its parts are. One line a fault; exit code 1 where there is one.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { pack } from "./pack.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Most bytes. The archive's: 7.9 MB in November 2026, of which the embedded model is 2.5 MB, once for Node and once for pages. */
export const budgets = { archive: 8_000_000, wasmModule: 400 * 1024, browserBundle: 150 * 1024 };

/** What must be there, also on a machine without a compiler or a network. */
const needed = [
  "LICENSE",
  "README.md",
  "bin/frugal",
  "dist/index.js",
  "dist/index.d.ts",
  "dist/browser/frugal.js",
  "dist/cli/bundle/main.cjs",
  "models/stories/stories.gguf",
  "native/build.mjs",
  "scripts/setup.mjs",
  "wasm/frugal-simd.wasm",
];
/** What only a checkout needs, and what is built on each machine. */
const unwanted = [
  /\.test\.[a-z.]+$/,
  /^testing\//,
  /^native\/(build|test)\//,
  /\/node_modules\//,
  /\.(node|tgz|log)$/,
  /^dist\/\.built$/,
  /^\.(ci|github)\//,
];

const filesOf = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.length + 1)
        .replaceAll("\\", "/"),
    );

export function contentFaults(folder, wanted = needed) {
  const files = filesOf(folder);
  return [
    ...wanted.filter((path) => !files.includes(path)).map((path) => `${path} is missing`),
    ...files.filter((path) => unwanted.some((pattern) => pattern.test(path))).map((path) => `${path} should not be there`),
  ];
}

/** Parts of the browser's bundle that only some pages ask for (tuning, the hub) are not what its budget is for: sizes.json has the others. */
function isLoadedByTexts(folder, path) {
  const sizes = join(folder, "dist/browser/sizes.json");
  return !existsSync(sizes) || JSON.parse(readFileSync(sizes, "utf8")).text.files.includes(basename(path));
}

export function sizeFaults(folder, archiveBytes, most = budgets) {
  const files = filesOf(folder);
  const over = (what, bytes, limit) => (bytes > limit ? [`${what} has ${bytes} bytes; the budget is ${limit}`] : []);
  const browser = files.filter((path) => /^dist\/browser\/.*\.js$/.test(path) && isLoadedByTexts(folder, path));
  const bundle = browser.reduce((sum, path) => sum + gzipSync(readFileSync(join(folder, path)), { level: 9 }).length, 0);
  return [
    ...over("the archive", archiveBytes, most.archive),
    ...files.filter((path) => path.endsWith(".wasm")).flatMap((path) => over(path, statSync(join(folder, path)).size, most.wasmModule)),
    ...over("dist/browser, its modules that writing a text loads, by gzip,", bundle, most.browserBundle),
  ];
}

/** @see https://publint.dev/rules */
export async function descriptionFaults(folder) {
  const [{ publint }, { formatMessage }] = await Promise.all([import("publint"), import("publint/utils")]);
  const { messages, pkg } = await publint({ pkgDir: folder, level: "warning", pack: false });
  return messages.map((message) => formatMessage(message, pkg, { color: false }));
}

/** Are the types wrong, for those who import ESM: require() of it and resolution before `exports` are not offered. */
export function typeFaults(archive) {
  const attw = join(root, "node_modules/@arethetypeswrong/cli/dist/index.js");
  const words = [attw, archive, "--profile", "esm-only", "--format", "json"];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8", maxBuffer: 64 << 20 });
  if (status === 0) return [];
  try {
    const problems = Object.values(JSON.parse(stdout).problems).flat();
    const ours = problems.filter(({ resolutionKind }) => resolutionKind !== "node10" && resolutionKind !== "node16-cjs");
    if (ours.length > 0)
      return ours.map(({ kind, entrypoint, resolutionKind }) => `${entrypoint ?? "a file"}: ${kind} (${resolutionKind ?? "any"})`);
  } catch {
    // said below, in attw's own words
  }
  return [`attw ended with ${status}: ${stderr.slice(0, 500)}`];
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), "frugal-package-"));
  try {
    const { archive } = await pack(folder);
    const packed = join(folder, "frugal");
    const bytes = statSync(archive).size;
    const parts = {
      contents: contentFaults(packed),
      sizes: sizeFaults(packed, bytes),
      publint: await descriptionFaults(packed),
      attw: typeFaults(archive),
    };
    for (const [part, faults] of Object.entries(parts)) for (const fault of faults) console.log(`${part}: ${fault}`);
    const count = Object.values(parts).flat().length;
    console.log(`package: ${bytes} bytes, ${filesOf(packed).length} files, ${count === 0 ? "no fault" : `${count} faults`}`);
    if (count > 0) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
