// What a compiled module is made for, read from the file itself: a cross-compiled one can't be tried here.

const machines = { elf: { 62: "x64", 183: "arm64" }, macho: { 0x01000007: "x64", 0x0100000c: "arm64" } };

/** System, processor, libraries it needs and the newest version of the GNU C library among them; undefined for what is no module we know. */
export function describeBinary(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 64) return undefined;
  if (view.getUint32(0) === 0x7f454c46) return describeElf(bytes, view);
  return view.getUint32(0, true) === 0xfeedfacf ? describeMacho(bytes, view) : undefined;
}

/** A library may be linked with symbols that nobody has: those of ours that are missing are found here, not by the linker. */
const ours = (names) => names.filter((name) => name.includes("frugal"));

/** The table of symbols has 16 bytes each: place of the name, kind (0: undefined), and what does not matter here. */
function describeMacho(bytes, view) {
  const word = (offset) => view.getUint32(offset, true);
  let at = 32;
  let undefinedNames = [];
  for (let i = 0; i < word(16); i++, at += word(at + 4)) {
    if (word(at) !== 2) continue;
    const [table, count, names, size] = [8, 12, 16, 20].map((offset) => word(at + offset));
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + names, size).toString("latin1");
    const places = Array.from({ length: count }, (_, n) => table + 16 * n).filter((place) => (view.getUint8(place + 4) & 0x0e) === 0);
    undefinedNames = places.map((place) => text.slice(word(place), text.indexOf("\0", word(place))));
  }
  return { os: "darwin", cpu: machines.macho[word(4)], libraries: [], missing: ours(undefinedNames) };
}

/** The dynamic section's needed libraries; versions of symbols stand in the same table of strings as GLIBC_2.x. */
function describeElf(bytes, view) {
  const long = (offset) => Number(view.getBigUint64(offset, true));
  const count = view.getUint16(56, true);
  const segments = Array.from({ length: count }, (_, i) => long(32) + i * view.getUint16(54, true)).map((at) => ({
    type: view.getUint32(at, true),
    offset: long(at + 8),
    address: long(at + 16),
    bytes: long(at + 32),
  }));
  const dynamic = segments.find(({ type }) => type === 2);
  const entries = [];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.bytes; at += 16) entries.push([long(at), long(at + 8)]);
  const value = (tag) => entries.find(([known]) => known === tag)?.[1];
  const fileOffset = (address) => {
    const segment = segments.find((s) => s.type === 1 && address >= s.address && address < s.address + s.bytes);
    return address - segment.address + segment.offset;
  };
  const strings = fileOffset(value(5));
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + strings, value(10)).toString("latin1");
  const libraries = entries.filter(([tag]) => tag === 1).map(([, at]) => text.slice(at, text.indexOf("\0", at)));
  const versions = [...text.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  return {
    os: "linux",
    cpu: machines.elf[view.getUint16(18, true)],
    libc: libraries.includes("libc.so.6") ? "glibc" : "musl",
    libraries,
    // Ours are hidden, so the table that the loader reads has none but those to be found elsewhere.
    missing: ours(text.split("\0")),
    ...(versions.length > 0 ? { glibc: `2.${Math.max(...versions)}` } : {}),
  };
}

/** What is wrong with a module that a platform's package shall hold; undefined where nothing is. One that is `local` only has to run here. */
export function binaryFault(bytes, platform, { newestGlibc = 28, local = false } = {}) {
  const found = describeBinary(bytes);
  if (found === undefined) return "is no module for Linux or macOS";
  for (const field of ["os", "cpu", "libc"])
    if (found[field] !== platform[field]) return `is for ${field} ${found[field] ?? "unknown"}, not ${platform[field] ?? "any"}`;
  if (found.missing.length > 0) return `lacks ${found.missing.slice(0, 3).join(", ")}`;
  if (local) return undefined;
  // The C++ library is inside, so that the one of the system, if there is any, need not fit.
  const foreign = found.libraries.filter((name) => !/^(lib(c|m|dl|pthread|rt)\.so|ld-linux|ld-musl)/.test(name));
  if (foreign.length > 0) return `needs ${foreign.join(", ")}`;
  if (Number(found.glibc?.slice(2) ?? 0) > newestGlibc) return `needs glibc ${found.glibc}; Node 20 runs from 2.${newestGlibc} on`;
  return undefined;
}
