/** package-lock.json serves every platform and every registry: `npm ci` refuses a lock that lacks another platform's package. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface Entry {
  readonly resolved?: string;
  readonly integrity?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}
type Packages = Readonly<Record<string, Entry>>;

/** What is wrong with a lock: optional packages without an entry, entries without a hash, entries bound to a host. */
function faults(packages: Packages): string[] {
  const paths = Object.keys(packages);
  return Object.entries(packages).flatMap(([path, entry]) => [
    ...Object.keys(entry.optionalDependencies ?? {})
      .filter((name) => !paths.some((known) => known.endsWith(`node_modules/${name}`)))
      .map((name) => `${path}: ${name} is missing`),
    ...(path !== "" && entry.integrity === undefined ? [`${path}: has no hash`] : []),
    ...(entry.resolved === undefined ? [] : [`${path}: names ${entry.resolved}`]),
  ]);
}

test("a missing platform, a missing hash and a host are found", () => {
  const a = { integrity: "sha512-a", optionalDependencies: { "a-linux": "1.0.0", "a-windows": "1.0.0" } };
  const packages = { "": {}, "node_modules/a": a, "node_modules/a-linux": { resolved: "https://mirror.example/a.tgz" } };
  expect(faults(packages)).toEqual([
    "node_modules/a: a-windows is missing",
    "node_modules/a-linux: has no hash",
    "node_modules/a-linux: names https://mirror.example/a.tgz",
  ]);
});

test("package-lock.json is whole: take a version of the tool that is published for every platform", () => {
  const lock = JSON.parse(readFileSync(new URL("../../package-lock.json", import.meta.url), "utf8")) as { packages: Packages };
  expect(faults(lock.packages)).toEqual([]);
});
