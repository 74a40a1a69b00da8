/** A technique is removed by deleting its file and its lines in the index, and nothing else notices: done here for each, in memory. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { expect, test } from "vitest";
import { tuningTechniques } from "../../src/techniques/index.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = join(root, "src/techniques");
const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
  (file) => file.endsWith(".ts") && !file.endsWith(".test.ts"),
);
const isTechnique = (file: string): boolean => /^\s*survey:\s*"/m.test(readFileSync(join(folder, file), "utf8"));

/** An index without the line that imports the file and those that use what it imported. */
function withoutFile(index: string, file: string): string {
  const imported = new RegExp(`^import \\{ (\\w+) \\} from "[./\\w-]*/${file.replace(/^.*\//, "").replaceAll(".", "\\.")}";$`, "m").exec(
    index,
  );
  if (imported === null) return index;
  const use = new RegExp(`\\b${imported[1]!}\\b`);
  return index
    .split("\n")
    .filter((line) => !use.test(line.replaceAll(/"[^"]*"/g, "")))
    .join("\n");
}

/** Bundles the entries without a file of src/techniques; rejects where anything still asks for it. */
async function bundledWithout(file: string, entries: readonly string[]): Promise<string> {
  const build = await rolldown({
    input: Object.fromEntries(entries.map((entry, i) => [`entry${i}`, join(root, entry)])),
    platform: "node",
    external: [/^@huggingface\//, /^node:/],
    logLevel: "silent",
    plugins: [
      {
        name: "without",
        load(id) {
          if (id === join(folder, file)) throw new Error(`${file} is deleted`);
          if (!/\/techniques\/(?:[\w-]+\/)*index\.ts$/.test(id)) return null;
          return { code: withoutFile(readFileSync(id, "utf8"), file), moduleType: "ts" };
        },
      },
    ],
  });
  const { output } = await build.generate({ format: "esm" });
  await build.close();
  return output[0].code;
}

const everything = ["src/techniques/index.ts", "src/index.ts", "src/cli/main.ts"];

test.each(files.filter(isTechnique))("%s can be deleted", async (file) => {
  await bundledWithout(file, everything);
});

test.each(["lora", "ia3"])("without its file and lines, the list has all but %s", async (name) => {
  const code = await bundledWithout(`tuning/${name}.ts`, ["src/techniques/index.ts"]);
  const { tuningTechniques: left } = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as { tuningTechniques: object };
  expect(Object.keys(left)).toEqual(Object.keys(tuningTechniques).filter((other) => other !== name));
});

test("a file that others need is found", async () => {
  await expect(bundledWithout("tuning/targets.ts", everything)).rejects.toThrow(/targets\.ts is deleted/);
});

test("docs/survey.md is what the technique files say", () => {
  const { stderr, status } = spawnSync(process.execPath, [join(root, "scripts/survey.mjs"), "--check"], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});
