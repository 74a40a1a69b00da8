// Which kernel sets an architecture has and how compilers are asked for them: what every build of the native core shares.

/** "clang", "gcc" or "zig" (clang, but it names ARM's extensions its own way) of a compiler's command and of what it says of itself. */
export function compilerKind(command, version) {
  return /zig/.test(command) ? "zig" : /clang/.test(`${command} ${version}`) ? "clang" : "gcc";
}

/** Node's name of the architecture (x64, arm64, ...) that a compiler's target triple begins with. */
export function architectureOf(target) {
  const first = target.split("-")[0];
  return { x86_64: "x64", aarch64: "arm64" }[first] ?? first;
}

const avx2 = ["-mavx2", "-mfma", "-mf16c", "-mbmi2"];
const avx512 = [..."-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni".split(" "), ...avx2, "-mprefer-vector-width=512"];
const arm = (kind, extensions) =>
  kind === "zig"
    ? [`-mcpu=${["generic", ...extensions.map((name) => name.replace("armv8.2-a", "v8_2a"))].join("+")}`]
    : [`-march=${extensions.length > 0 ? extensions.join("+") : "armv8-a"}`];

/**
 * The sets of an architecture with their flags. The set that every processor runs comes first: were a function merged across objects after
 * all, the linker would keep this one. runtime/dispatch.cpp knows the same names.
 */
export function kernelSets(architecture, kind) {
  // GCC 12's own AVX-512 headers read a variable before it is set (GCC bug 105593).
  if (architecture === "x64")
    return { portable: [], avx2, avx512: [...avx512, ...(kind === "gcc" ? ["-Wno-uninitialized", "-Wno-maybe-uninitialized"] : [])] };
  // NEON is part of every ARM64 processor.
  if (architecture === "arm64")
    return {
      neon: arm(kind, []),
      neon_dot: arm(kind, ["armv8.2-a", "dotprod"]),
      neon_i8mm: arm(kind, ["armv8.2-a", "dotprod", "i8mm"]),
    };
  return { portable: [] };
}

/** Flags of every file. */
export function commonFlags(kind, { strict = false } = {}) {
  return [
    ..."-std=c++20 -fPIC -fvisibility=hidden -Wall -Wextra -Wno-psabi".split(" "),
    ...(strict ? ["-Werror"] : []),
    ...(kind === "gcc" ? ["-Wno-unknown-pragmas", "-Wno-class-memaccess"] : []),
  ];
}

/** And of kernels: no contraction, so that all sets round as written. */
export const kernelFlags = ["-ffp-contract=off", "-fno-exceptions", "-fno-rtti", "-fno-math-errno"];
