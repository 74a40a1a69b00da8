/** dist/browser made of the sources as they are, in a temporary folder: tests of whole pages need nothing built before. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface BrowserFolder {
  readonly path: string;
  remove(): void;
}

export async function bundleBrowserFolder(): Promise<BrowserFolder> {
  const script = new URL("../../scripts/bundle-browser.mjs", import.meta.url).href;
  const { bundleBrowser } = (await import(script)) as { readonly bundleBrowser: (from: string, folder: string) => Promise<unknown> };
  const path = mkdtempSync(join(tmpdir(), "frugal-browser-"));
  await bundleBrowser(fileURLToPath(new URL("../../src", import.meta.url)), path);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
