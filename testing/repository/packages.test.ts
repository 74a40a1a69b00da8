/** What is published: the package's description, and platforms' modules that are what their package says. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { platformHere, nativePlatforms } from "../../src/backends/native/packages.ts";

const project = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const { binaryFault } = (await import(project("scripts/native-binary.mjs"))) as {
  binaryFault(
    bytes: Uint8Array,
    platform: object,
    options?: { readonly newestGlibc?: number; readonly local?: boolean },
  ): string | undefined;
};
const { publishedDescription } = (await import(project("scripts/pack.mjs"))) as {
  publishedDescription(description: object, nativePackages: readonly string[]): Record<string, unknown>;
};

const description = JSON.parse(readFileSync(project("package.json"), "utf8")) as {
  readonly version: string;
  readonly dependencies: object;
};
const built = project("native/build/frugal.node");
const platform = nativePlatforms[platformHere()];

test("the published package names the platforms' packages in its own version; the checkout names none", () => {
  expect(description).not.toHaveProperty("optionalDependencies");
  const published = publishedDescription(description, ["@frugal/native-linux-x64"]);
  expect(published["optionalDependencies"]).toEqual({ "@frugal/native-linux-x64": description.version });
  expect(published["dependencies"]).toEqual(description.dependencies);
});

test("the published package has no install script and nothing that only a checkout needs", () => {
  const published = publishedDescription(description, []);
  expect(published).not.toHaveProperty("devDependencies");
  expect(Object.keys(published["scripts"] as object)).toEqual(["setup"]);
});

test.skipIf(!existsSync(built) || platform?.os !== "linux")("a module that does not fit its package is found out from its bytes", () => {
  const bytes = new Uint8Array(readFileSync(built));
  const fault = (change: (copy: Uint8Array) => void, of: object = platform!): string | undefined => {
    const copy = bytes.slice();
    change(copy);
    return binaryFault(copy, of, { local: true });
  };
  const nothing = (): void => {};
  expect(fault(nothing)).toBeUndefined();
  expect(fault((copy) => copy.set([0], 0))).toBe("is no module for Linux or macOS");
  expect(fault((copy) => copy.set([8], 18))).toMatch(/^is for cpu unknown, not /);
  expect(fault(nothing, { ...platform, libc: "musl" })).toBe("is for libc glibc, not musl");
  expect(fault(nothing, { os: "darwin", cpu: platform!.cpu })).toBe("is for os linux, not darwin");
  const renamed = (copy: Uint8Array): void => copy.set(Buffer.from("frugal_x"), Buffer.from(copy).indexOf("\0napi_create_double\0") + 1);
  expect(fault(renamed)).toMatch(/^lacks frugal_x/);
  expect(binaryFault(bytes, platform!)).toMatch(/^needs lib(std)?c\+\+/);
});
