/** The Chromium that is measured in, and the memory of its pages. */
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"];

export const findChromium = (): string | undefined => [process.env["FRUGAL_CHROMIUM"] ?? "", ...places].find((path) => existsSync(path));

/** Starts a browser on a profile and closes it after `use`. A profile that nobody gives is new, and deleted. */
export async function inBrowser<T>(use: (context: BrowserContext) => Promise<T>, profile?: string): Promise<T> {
  const executablePath = findChromium();
  if (executablePath === undefined)
    throw new Error(`no Chromium in ${places.join(", ")} or $FRUGAL_CHROMIUM; install the package chromium`);
  const folder = profile ?? (await mkdtemp(join(tmpdir(), "frugal-bench-")));
  const context = await chromium.launchPersistentContext(folder, { executablePath, args: flags, headless: true });
  try {
    context.setDefaultTimeout(600_000);
    return await use(context);
  } finally {
    await context.close();
    if (profile === undefined) await rm(folder, { recursive: true, force: true });
  }
}

/** Megabytes of all renderers of a browser: their own memory and their share of what they share. Linux only. */
export async function renderersMegabytes(page: Page): Promise<number> {
  const session = await page.context().browser()!.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const kilobytes = processInfo
    .filter(({ type }) => type === "renderer")
    .map(({ id }) => Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/smaps_rollup`, "utf8"))?.[1]));
  return kilobytes.reduce((sum, each) => sum + each, 0) / 1024;
}

/** Has the page collect its garbage, so that what is left is what is held. */
export async function collectGarbage(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  await session.detach();
}
