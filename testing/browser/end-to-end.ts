/** What end-to-end tests in Chromium share: the bundle as it is published, made of the sources, and pages that have it as `frugal`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import type { Chromium, OpenedPage, PageOptions } from "./chromium.ts";

/** Within pages. */
declare global {
  var frugal: typeof import("../../src/browser/index.ts");
}

export interface PublishedBundle {
  /** A page with the bundle. */
  open(browser: Pick<Chromium, "page">, options?: PageOptions): Promise<OpenedPage>;
  remove(): void;
}

/** Bundles src/browser into a folder of its own. */
export async function publishedBundle(): Promise<PublishedBundle> {
  const folder = mkdtempSync(join(tmpdir(), "frugal-bundle-"));
  const script = new URL("../../scripts/bundle-browser.mjs", import.meta.url).href;
  const { bundleBrowser } = (await import(script)) as { readonly bundleBrowser: (from: string, folder: string) => Promise<unknown> };
  await bundleBrowser(fileURLToPath(new URL("../../src", import.meta.url)), folder);
  return {
    async open(browser, options = {}) {
      const opened = await browser.page({
        html: '<!doctype html><title>test</title><script type="module">globalThis.frugal = await import("/frugal/frugal.js");</script>',
        ...options,
        folders: { "/frugal/": folder, ...options.folders },
      });
      await ready(opened.page);
      return {
        ...opened,
        async tab(path) {
          const page = await opened.tab(path);
          await ready(page);
          return page;
        },
      };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

interface TraceEvent {
  /** "v" for a process's numbers. */
  readonly ph: string;
  readonly args?: { readonly dumps?: { readonly process_totals?: { readonly private_footprint_bytes?: string } } };
}

/**
 * Measures the bytes that all of the browser's processes have for themselves, by its own count (memory-infra). A page's own
 * measureUserAgentSpecificMemory says less, and takes a minute.
 */
export async function memoryOf(page: Page): Promise<() => Promise<number>> {
  const session = await page.context().browser()!.newBrowserCDPSession();
  const own = await page.context().newCDPSession(page);
  return async () => {
    await own.send("HeapProfiler.collectGarbage");
    const events: TraceEvent[] = [];
    const collect = ({ value }: { readonly value: unknown[] }): void => void events.push(...(value as TraceEvent[]));
    session.on("Tracing.dataCollected", collect);
    const complete = new Promise<void>((resolve) => session.once("Tracing.tracingComplete", () => resolve()));
    const traceConfig = { includedCategories: ["disabled-by-default-memory-infra"], excludedCategories: ["*"], memoryDumpConfig: {} };
    await session.send("Tracing.start", { traceConfig, transferMode: "ReportEvents" });
    await session.send("Tracing.requestMemoryDump", { deterministic: true, levelOfDetail: "light" });
    await session.send("Tracing.end");
    await complete;
    session.off("Tracing.dataCollected", collect);
    return events.reduce(
      (sum, { ph, args }) => sum + (ph === "v" ? Number.parseInt(args?.dumps?.process_totals?.private_footprint_bytes ?? "0", 16) : 0),
      0,
    );
  };
}

const ready = (page: Page): Promise<unknown> => page.waitForFunction(() => "frugal" in globalThis);
