// What a bundle for the browser does without: the modules that are the operating system's. A plugin of rolldown, for the package's own bundle
// and for what tests bundle. A `node:` import that is left is an error that names who asked for it.
import { sep } from "node:path";

const why = "this is a browser, which loads no native code";
const replaced = {
  // The end of a module's path, and what it holds instead.
  "backends/native/backend": `export const createNativeBackend = () => ({ reason: ${JSON.stringify(why)} });`,
  "backends/wasm/node": `export const createHost = () => { throw new Error(${JSON.stringify(why)}); };`,
};
// Node's own modules under their short names: a package that asks for one of them is not made for browsers.
const short =
  /^(?:assert|buffer|child_process|cluster|crypto|events|fs|http|http2|https|module|net|os|path|perf_hooks|process|stream|tls|tty|url|util|v8|vm|worker_threads|zlib)(?:\/|$)/;

export function browserModules() {
  return {
    name: "frugal: browser modules",
    resolveId(source, importer) {
      if (!source.startsWith("node:") && !short.test(source)) return null;
      throw new Error(
        `bundle: ${importer ?? "an entry"} imports ${source}, which browsers do not have; load it where Node runs, or replace the module`,
      );
    },
    load(id) {
      const path = id
        .split(sep)
        .join("/")
        .replace(/\.[jt]s$/, "");
      return Object.entries(replaced).find(([end]) => path.endsWith(`/${end}`))?.[1] ?? null;
    },
  };
}
