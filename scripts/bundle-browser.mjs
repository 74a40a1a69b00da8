// What pages load: `node scripts/bundle-browser.mjs [dist]` puts modules, WebAssembly and the embedded model into dist/browser/, a folder that is
// whole by itself and may be copied to any host. What only some pages need lies in parts that are loaded when they are asked for. sizes.json
// beside it has the sizes.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { browserModules } from "./browser-modules.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
// Named by what they are to a page: itself, and the workers that it finds by new URL("./NAME.js", import.meta.url), as other bundlers do.
const entries = {
  frugal: "browser/index",
  engine: "browser/engine-worker",
  hub: "browser/hub-worker",
  thread: "backends/wasm/thread",
};

/**
 * Writes the bundle of `from` (a compiled dist, or src itself) into `folder`, where it takes the place of modules that are there: nothing else
 * imports them, and the folder is what people copy. Resolves with the sizes of what was written.
 */
export async function bundleBrowser(from, folder = join(from, "browser"), warn = console.error) {
  const { rolldown } = await import("rolldown");
  const input = Object.fromEntries(
    Object.entries(entries)
      .map(([name, path]) => [name, [`${path}.js`, `${path}.ts`].map((file) => join(from, file)).find((file) => existsSync(file))])
      .filter(([, path]) => path !== undefined),
  );
  const bundle = await rolldown({
    input,
    cwd: root,
    platform: "browser",
    transform: { target: "es2022" },
    plugins: [browserModules()],
    onLog: (level, log) => level === "warn" && log.code !== "INEFFECTIVE_DYNAMIC_IMPORT" && warn(log.message),
  });
  const { output: chunks } = await bundle.generate({
    format: "esm",
    minify: true,
    entryFileNames: "[name].js",
    chunkFileNames: "part-[name]-[hash].js",
  });
  await bundle.close();
  const output = chunks.map(({ fileName, code, imports, isEntry, moduleIds }) => ({
    fileName,
    code: withPlainAddresses(code),
    imports,
    isEntry,
    moduleIds,
  }));
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder, { recursive: true })) if (/\.(?:js|wasm|gguf)$/.test(name)) rmSync(join(folder, name));
  for (const { fileName, code } of output) writeFileSync(join(folder, fileName), code);
  const wasm = join(root, "wasm");
  const modules = existsSync(wasm) ? readdirSync(wasm).filter((name) => name.endsWith(".wasm")) : [];
  const copied = [...modules.map((name) => join(wasm, name)), join(root, "models/stories/stories.gguf")];
  for (const path of copied) copyFileSync(path, join(folder, basename(path)));
  const assets = Object.fromEntries(
    copied.map((path) => [basename(path), { bytes: statSync(path).size, hash: hashOf(readFileSync(path)) }]),
  );
  const sizes = { ...measure(output), assets };
  writeFileSync(join(folder, "sizes.json"), `${JSON.stringify(sizes, null, 2)}\n`);
  return sizes;
}

// The minifier writes every string as a template, which Vite does not take for a literal where it looks for workers.
const withPlainAddresses = (code) =>
  code.replace(/new URL\(`([^`$\\]*)`,import\.meta\.url\)/g, 'new URL("$1",import.meta.url)').replaceAll("type:`module`", 'type:"module"');

// Changes with the file: another list is another version of the folder.
const hashOf = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 16);

// Asked for by every page that writes texts with a GGUF model that it downloads, besides what the page and the workers import at once.
const askedForByTexts = ["backends/native/backend", "backends/wasm/web", "formats/web/store", "text/from-gguf"];

/**
 * Bytes of each module and of all, plain and by gzip; those of each entry with all that it imports before it runs; and `text`: what a page loads
 * to write with a GGUF model, all told, which is what the budget is for.
 */
function measure(output) {
  const files = {};
  for (const { fileName, code } of output)
    files[fileName] = { bytes: Buffer.byteLength(code), gzip: gzipSync(code, { level: 9 }).length, hash: hashOf(code) };
  const add = (names) =>
    names.reduce((sum, name) => ({ bytes: sum.bytes + files[name].bytes, gzip: sum.gzip + files[name].gzip }), { bytes: 0, gzip: 0 });
  const chunks = new Map(output.map((chunk) => [chunk.fileName, chunk]));
  const reach = (name, found = new Set()) => {
    if (found.has(name)) return found;
    found.add(name);
    for (const other of chunks.get(name).imports) reach(other, found);
    return found;
  };
  const starts = output.filter(({ isEntry }) => isEntry).map(({ fileName }) => [fileName, add([...reach(fileName)])]);
  const asked = output.filter(({ moduleIds }) =>
    moduleIds.some((id) =>
      askedForByTexts.some((path) =>
        id
          .replaceAll("\\", "/")
          .replace(/\.[jt]s$/, "")
          .endsWith(`/${path}`),
      ),
    ),
  );
  const found = new Set();
  for (const { fileName } of [...output.filter(({ isEntry }) => isEntry), ...asked]) reach(fileName, found);
  const text = { ...add([...found]), files: [...found] };
  return { total: add(Object.keys(files)), text, starts: Object.fromEntries(starts), files };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const dist = process.argv[2] ?? join(root, "dist");
  if (existsSync(join(dist, `${entries.frugal}.js`))) {
    const sizes = await bundleBrowser(dist);
    const line = (name, { bytes, gzip }) => console.log(`${name.padEnd(44)}${String(bytes).padStart(9)}${String(gzip).padStart(9)}`);
    console.log(`${"bundle for browsers".padEnd(44)}    bytes  by gzip`);
    for (const [name, size] of Object.entries(sizes.files)) line(name, size);
    line("all", sizes.total);
    line("what writing a text loads", sizes.text);
    for (const [name, size] of Object.entries(sizes.starts)) line(`${name} with what it imports at once`, size);
  } else
    console.error(
      `bundle: ${join(dist, entries.frugal)}.js is missing; compile first (npm run setup), for a bundle takes the place of its modules`,
    );
}
