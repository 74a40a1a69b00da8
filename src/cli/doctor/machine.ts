/** What kind of machine and runtime this is. */
import { accessSync, constants, readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { nativePackage, nativePlatforms, platformHere } from "../../backends/native/packages.ts";
import { defaultHubCache } from "../../formats/hub.ts";
import { hubSettings } from "../hub-settings.ts";
import type { DoctorReport } from "./report.ts";

/** Those that kernels use or would use, as Linux names them. */
const notable = "avx2 fma f16c bmi2 avx512f avx512bw avx512dq avx512vl avx512_vnni avx_vnni asimd asimddp i8mm sve atomics".split(" ");

export async function examineMachine(): Promise<
  Pick<DoctorReport, "runtime" | "platform" | "native_package" | "processor" | "memory" | "cache" | "compiler">
> {
  const platform = platformHere();
  const path = hubSettings().cacheDirectory ?? defaultHubCache();
  const limit = process.constrainedMemory?.() ?? 0;
  return {
    runtime: runtimeHere(process.versions),
    platform,
    native_package: Object.hasOwn(nativePlatforms, platform) ? nativePackage(platform) : null,
    processor: { model: cpus()[0]?.model.trim() ?? "unknown", cores: cpus().length, threads: availableParallelism(), features: features() },
    memory: { total_bytes: totalmem(), free_bytes: freemem(), limit_bytes: limit > 0 && limit < totalmem() ? limit : null },
    cache: { path, free_bytes: await freeBytes(path) },
    compiler: ["clang++", "g++", "c++"].find(isOnPath) ?? null,
  };
}

export function runtimeHere(versions: Readonly<Record<string, string | undefined>>): DoctorReport["runtime"] {
  const name = ["bun", "deno", "electron"].find((other) => versions[other] !== undefined) ?? "node";
  return { name, version: versions[name] ?? "unknown", node: versions["node"] ?? "unknown", v8: versions["v8"] ?? "none" };
}

function features(): string[] {
  try {
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
    const known = new Set(line.split(/\s+/));
    return notable.filter((name) => known.has(name));
  } catch {
    return []; // no such file but on Linux
  }
}

/** Of the nearest folder that exists: the cache is made when something is downloaded. */
async function freeBytes(path: string): Promise<number | null> {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    } catch {
      if (dirname(folder) === folder) return null;
    }
  }
}

function isOnPath(name: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return folder !== "";
    } catch {
      return false;
    }
  });
}
