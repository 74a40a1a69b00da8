/** From what was found to why this backend runs and what would make it faster. */
import { printBytes } from "../../tensor/byte-size.ts";
import type { DoctorReport } from "./report.ts";

type Found = Omit<DoctorReport, "backend" | "why" | "advice">;

export function diagnose(found: Found): DoctorReport {
  const chosen = found.backends.find(({ runs }) => runs);
  const before = found.backends.slice(0, chosen && found.backends.indexOf(chosen));
  const why =
    before.length === 0
      ? "it is the fastest there is, and it runs here"
      : before.map(({ name, variant, reason, fault }) => `${[name, variant].filter(Boolean).join(" ")}: ${reason ?? fault}`).join("; ");
  return { ...found, backend: chosen?.name ?? "none", why, advice: adviceFor(found, chosen) };
}

function adviceFor(found: Found, chosen: DoctorReport["backends"][number] | undefined): string[] {
  const { runtime, processor, cache, native_package: name, compiler, version } = found;
  const advice: string[] = [];
  if (chosen?.name !== "native") {
    const broken = found.backends[0]?.tried?.find(({ reason }) => reason !== undefined && reason !== "is not there");
    if (broken !== undefined) advice.push(`${broken.file} ${broken.reason}; install or build it again`);
    if (name !== null)
      advice.push(
        `npm install ${name}@${version}: the native core, ready built. It is an optional dependency; installs with --omit=optional, or by a lock file of another platform, leave it out`,
      );
    const build = "npm run setup (in the folder of the package) builds the native core";
    advice.push(compiler === null ? `install clang or g++: then ${build}` : `${build} with ${compiler}`);
  }
  const relaxed = found.backends.find(({ variant }) => variant === "relaxed");
  if (chosen?.name === "wasm" && relaxed?.runs === false)
    advice.push(`run it in a newer version of ${runtime.name}: its WebAssembly has relaxed SIMD, with which products of 8 bits are faster`);
  if (processor.threads < processor.cores)
    advice.push(
      `this process may use ${processor.threads} of ${processor.cores} processors; allow it more (taskset, the container's CPUs)`,
    );
  if (cache.free_bytes !== null && cache.free_bytes < 2 ** 30)
    advice.push(
      `${printBytes(cache.free_bytes)} are free for downloads in ${cache.path}; free some, or name another place by FRUGAL_CACHE`,
    );
  return advice;
}
