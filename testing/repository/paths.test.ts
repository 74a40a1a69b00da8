/** No file of the repository names a place that only one machine has, or a package registry's host. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

// Spelled with a class around one letter, so that this file does not match itself.
const forbidden = [
  /(?<![\w.$}-])\/(?:wor[k]|tm[p]|roo[t]|hom[e]|User[s])\/[\w.-]/,
  /\b[A-Z]:\\User[s]\\/,
  /\.librar[y]\//,
  /(?:registry\.npm[j]s|npm[j]s\.(?:org|com)|py[p]i\.org|pythonhoste[d]\.org|crate[s]\.io|registry\.yarnpk[g])/,
  /"resolve[d]": "http/,
];

/** `line: text` of each line that names such a place. */
const faults = (text: string): string[] =>
  text
    .split("\n")
    .flatMap((line, i) => (forbidden.some((pattern) => pattern.test(line)) ? [`${i + 1}: ${line.trim().slice(0, 160)}`] : []));

test.each([
  ["a build folder", `const data = "/${"work"}/data";`],
  ["a temporary folder", `open("/${"tmp"}/x.bin")`],
  ["a home", `cd /${"home"}/somebody/frugal`],
  ["a home on Windows", `C:\\${"Users"}\\somebody`],
  ["a registry", `"https://registry.${"npmjs"}.org/vitest"`],
  ["a lock file's source", `"${"resolved"}": "https://mirror.example/vitest.tgz",`],
])("finds %s", (_name, line) => {
  expect(faults(`fine\n${line}\n`)).toEqual([`2: ${line.trim()}`]);
});

test.each(["../shared/data/x", "src/home/x.ts", "https://example.org/home/x", "${folder}/tmp/x", "/usr/bin/env", "see /proc/self/status"])(
  "lets %s be",
  (line) => expect(faults(line)).toEqual([]),
);

test("the repository names no machine's paths and no registry", (context) => {
  const { stdout, status } = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], {
    cwd: root,
    encoding: "utf8",
  });
  if (status !== 0) return context.skip("not a git checkout, so there is no list of files");
  const found = stdout
    .split("\0")
    .filter((path) => path !== "" && existsSync(join(root, path)))
    .flatMap((path) => {
      const bytes = readFileSync(join(root, path));
      return bytes.subarray(0, 8192).includes(0) ? [] : faults(bytes.toString("utf8")).map((fault) => `${path}:${fault}`);
    });
  expect(found).toEqual([]);
});
