// Formats the C++ sources with clang-format, or only checks them with --check. Without clang-format it says so; that is a failure only in CI.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../native", import.meta.url));
const check = process.argv.includes("--check");
const files = readdirSync(folder, { recursive: true })
  .filter((path) => /\.(?:h|cpp)$/.test(path) && !/^build[/\\]/.test(path))
  .map((path) => join(folder, path));
// One version, because versions differ in what they write.
const tool = ["clang-format-16", "clang-format"].find((name) =>
  / 16\./.test(spawnSync(name, ["--version"], { encoding: "utf8" }).stdout ?? ""),
);
if (tool === undefined) {
  console.error(`format: clang-format 16 is not installed, so ${files.length} C++ files were not ${check ? "checked" : "formatted"}`);
  process.exitCode = process.env.CI ? 1 : 0;
} else if (files.length > 0) {
  const options = check ? ["--dry-run", "--Werror"] : ["-i"];
  process.exitCode = spawnSync(tool, ["--style=file", ...options, ...files], { stdio: "inherit" }).status ?? 1;
}
