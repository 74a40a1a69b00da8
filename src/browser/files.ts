/** Where the parts of dist/browser are, for pages whose bundler moved them apart. */

export interface BrowserFiles {
  /** Default: engine.js beside the page's module, and so on. */
  readonly engine?: string | URL;
  readonly hub?: string | URL;
  readonly thread?: string | URL;
  /** frugal-relaxed.wasm and frugal-simd.wasm. */
  readonly relaxed?: string | URL;
  readonly simd?: string | URL;
  /** stories.gguf, the embedded model. */
  readonly stories?: string | URL;
}

export const fileNames: readonly (keyof BrowserFiles)[] = ["engine", "hub", "thread", "relaxed", "simd", "stories"];

/** The embedded model's address; undefined for any other name. */
export const storiesUrl = (name: string, files: BrowserFiles): string | undefined =>
  name === "stories" ? String(files.stories ?? new URL("./stories.gguf", import.meta.url)) : undefined;
