/** TypeScript files as modules of a page, by rolldown, which bundles the whole engine in half a second: nothing has to be built before a test. */
import { fileURLToPath } from "node:url";
import { type Plugin, rolldown } from "rolldown";

const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Bundles entries for a browser. Each is served as "/NAME.js", beside the parts that several share, so that a worker's `new URL("./NAME.js",
 * import.meta.url)` finds another entry. `frugal` and `frugal/browser` mean the sources.
 */
export async function bundleModules(entries: Readonly<Record<string, string>>): Promise<ReadonlyMap<string, string>> {
  if (Object.keys(entries).length === 0) return new Map();
  const script = new URL("../../scripts/browser-modules.mjs", import.meta.url).href;
  const { browserModules } = (await import(script)) as { readonly browserModules: () => Plugin };
  const bundle = await rolldown({
    input: { ...entries },
    cwd: root,
    platform: "browser",
    plugins: [browserModules()],
    logLevel: "silent",
    resolve: { alias: { "frugal/browser": `${root}src/browser/index.ts`, frugal: `${root}src/index.ts` } },
  });
  try {
    const { output } = await bundle.generate({ format: "esm", entryFileNames: "[name].js", chunkFileNames: "part-[name]-[hash].js" });
    return new Map(output.map((file) => [`/${file.fileName}`, file.type === "chunk" ? file.code : String(file.source)]));
  } finally {
    await bundle.close();
  }
}
