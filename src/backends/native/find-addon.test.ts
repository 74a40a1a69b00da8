/** Where the native core is looked for, in which order, and what is said of one that does not run. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findAddon } from "./addon.ts";
import { nativePackage, nativePlatforms, platformHere } from "./packages.ts";

const built = fileURLToPath(new URL("../../../native/build/frugal.node", import.meta.url));
const isBuilt = "addon" in findAddon([{ kind: "own build", file: built }]);
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "frugal-addon-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const file = (name: string, content: string | Uint8Array): string => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const own = (path: string) => ({ kind: "own build", file: path }) as const;

describe("finding the native core", () => {
  test("no build and no package: both are named, with the way out", () => {
    const found = findAddon([own(join(folder, "none.node")), { kind: "package", file: "@frugal/native-none/frugal.node" }]);
    expect(found).toMatchObject({ reason: expect.stringMatching(/no package @frugal\/native-.*none built here \(npm run setup/) });
    expect(found.tried.map(({ kind, reason }) => [kind, reason])).toEqual([
      ["own build", "is not there"],
      ["package", "is not there"],
    ]);
  });

  test("a broken file and one for another program are said to be so", () => {
    for (const content of ["", "not a program", new Uint8Array(4096)])
      expect(findAddon([own(file("broken.node", content))])).toMatchObject({
        reason: expect.stringMatching(/broken\.node does not load: /),
      });
  });

  test("one of another version lacks functions and is refused", () => {
    const older = file("older.cjs", "exports.sets = () => []; exports.create = () => {};");
    expect(findAddon([own(older)])).toMatchObject({ reason: expect.stringMatching(/another version of Frugal: it lacks addVector, /) });
  });

  test("a package of another version is refused before it is loaded", () => {
    const version = file("package.json", '{ "version": "0.0.1" }');
    const trap = file("trap.cjs", "throw new Error('was loaded')");
    expect(findAddon([{ kind: "package", file: trap, version }])).toMatchObject({
      reason: expect.stringMatching(/is version 0\.0\.1, but Frugal is/),
    });
    expect(findAddon([{ kind: "package", file: trap, version: join(folder, "none.json") }])).toMatchObject({
      reason: expect.stringMatching(/is version unknown/),
    });
  });

  test.skipIf(!isBuilt)("the next place is taken where the first does not run, and the first is reported", () => {
    const found = findAddon([own(file("broken.node", "no")), { kind: "package", file: built }]);
    expect(found).toHaveProperty("addon");
    expect(found.tried.map(({ kind, reason }) => [kind, reason?.slice(0, 13)])).toEqual([
      ["own build", "does not load"],
      ["package", undefined],
    ]);
  });
});

describe("the platform's name", () => {
  test("says system, processor and, where it matters, the C library of the program that runs", () => {
    const glibc = file("glibc", "\x7fELF ... /lib64/ld-linux-x86-64.so.2");
    const musl = file("musl", "\x7fELF ... /lib/ld-musl-x86_64.so.1");
    expect(platformHere("linux", "x64", glibc)).toBe("linux-x64");
    expect(platformHere("linux", "x64", musl)).toBe("linux-x64-musl");
    expect(platformHere("linux", "arm64", join(folder, "none"))).toBe("linux-arm64");
    expect(platformHere("darwin", "arm64", musl)).toBe("darwin-arm64");
  });

  test("every platform's record is what its name says", () => {
    for (const [name, { os, cpu, libc }] of Object.entries(nativePlatforms)) {
      expect(name).toBe(`${os}-${cpu}${libc === "musl" ? "-musl" : ""}`);
      expect(nativePackage(name)).toBe(`@frugal/native-${name}`);
    }
  });
});
