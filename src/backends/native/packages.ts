/**
 * The packages that hold the native core ready built, one a platform, so that an install needs neither a compiler nor an install script. Which
 * there are is said here alone: `scripts/prebuild.mjs` makes them, `scripts/pack.mjs` names them in the published package.json.
 */
import { closeSync, openSync, readSync } from "node:fs";

/** What npm compares with the machine (package.json: os, cpu, libc). */
export interface NativePlatform {
  readonly os: string;
  readonly cpu: string;
  readonly libc?: "glibc" | "musl";
}

export const nativePlatforms: Readonly<Record<string, NativePlatform>> = {
  "linux-x64": { os: "linux", cpu: "x64", libc: "glibc" },
  "linux-x64-musl": { os: "linux", cpu: "x64", libc: "musl" },
  "linux-arm64": { os: "linux", cpu: "arm64", libc: "glibc" },
  "linux-arm64-musl": { os: "linux", cpu: "arm64", libc: "musl" },
  "darwin-x64": { os: "darwin", cpu: "x64" },
  "darwin-arm64": { os: "darwin", cpu: "arm64" },
};

/** The npm name of a platform's package. */
export const nativePackage = (platform: string): string => `@frugal/native-${platform}`;

/** This machine as the packages are named, whether or not there is one for it. */
export function platformHere(system: string = process.platform, cpu: string = process.arch, program: string = process.execPath): string {
  return `${system}-${cpu}${system === "linux" && usesMusl(program) ? "-musl" : ""}`;
}

/** Asked of the running program, since a machine may have both C libraries: a program names its loader in its first bytes. */
function usesMusl(program: string): boolean {
  const start = new Uint8Array(4096);
  try {
    const file = openSync(program, "r");
    try {
      readSync(file, start, 0, start.length, 0);
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
  return new TextDecoder("latin1").decode(start).includes("/ld-musl-");
}
