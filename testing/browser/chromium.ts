/**
 * The system's Chromium for tests: pages served from this machine, with modules bundled from the sources. What a page writes as an error, or
 * throws and nobody catches, fails the test that opened it, unless the test says that it expects it.
 */
import { existsSync } from "node:fs";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, onTestFinished } from "vitest";
import { bundleModules } from "./bundle-modules.ts";
import { openSite, type Site, type SiteOptions } from "./site.ts";

export interface PageOptions extends Omit<SiteOptions, "contents"> {
  /** Modules of the page: a name, and the TypeScript file that is bundled and served as "/NAME.js". */
  readonly modules?: Readonly<Record<string, string>>;
  /** The page itself. Default: an empty one that imports the module `page`, where there is one. Not used where a folder holds "/". */
  readonly html?: string;
  /** The path that is opened. Default "/". */
  readonly path?: string;
  /** Errors of the page that belong to the test. */
  readonly expectedErrors?: readonly RegExp[];
}

export interface OpenedPage {
  readonly page: Page;
  readonly origin: string;
  readonly site: Site;
  /** What the page wrote or threw as errors, expected or not. */
  readonly errors: readonly string[];
  /** Another page of the same origin and profile: a second tab. */
  tab(path?: string): Promise<Page>;
  /** Closes its pages and its site. @throws where there were errors that nobody expected. The end of the test does it too. */
  close(): Promise<void>;
}

/** A profile of its own: storage, caches and workers that no other sees. */
export interface Profile {
  readonly context: BrowserContext;
  page(options?: PageOptions): Promise<OpenedPage>;
  close(): Promise<void>;
}

export interface Chromium {
  /** A page in the profile that this browser began with. */
  page(options?: PageOptions): Promise<OpenedPage>;
  context(): Promise<Profile>;
  close(): Promise<void>;
}

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/snap/bin/chromium"];
const flags = [
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--no-first-run",
  "--no-sandbox",
];
const milliseconds = 15_000;

/** The path of the Chromium that tests use: $FRUGAL_CHROMIUM, or where systems install it. Undefined where there is none. */
export function isChromiumThere(): string | undefined {
  const named = process.env["FRUGAL_CHROMIUM"];
  return named === undefined ? places.find((path) => existsSync(path)) : existsSync(named) ? named : undefined;
}

/**
 * Tests in a Chromium that is started once for them. Where there is none they are skipped, and their name says so; in continuous integration
 * they fail.
 */
export function describeInChromium(name: string, tests: (browser: Pick<Chromium, "page" | "context">) => void): void {
  const isMissing = isChromiumThere() === undefined;
  const skip = isMissing && process.env["CI"] === undefined;
  describe.skipIf(skip)(isMissing ? `${name} (needs Chromium: none in ${places.join(", ")} or $FRUGAL_CHROMIUM)` : name, () => {
    let started: Chromium | undefined;
    beforeAll(async () => {
      started = await openChromium();
    }, 60_000);
    afterAll(() => started?.close());
    const running = (): Chromium => {
      if (started === undefined) throw new Error("Chromium is not running: open pages inside of tests and hooks");
      return started;
    };
    tests({ page: (options) => running().page(options), context: () => running().context() });
  });
}

/** Starts Chromium with an empty profile. */
export async function openChromium(): Promise<Chromium> {
  const executablePath = isChromiumThere();
  if (executablePath === undefined)
    throw new Error(`no Chromium in ${places.join(", ")} or $FRUGAL_CHROMIUM; install the package chromium`);
  const browser = await chromium.launch({ executablePath, args: flags, headless: true, timeout: 30_000 });
  const bundles = new Map<string, ReturnType<typeof bundleModules>>();
  const bundled = (modules: Readonly<Record<string, string>>): ReturnType<typeof bundleModules> => {
    const key = JSON.stringify(Object.entries(modules).sort());
    const bundle = bundles.get(key) ?? bundleModules(modules);
    bundles.set(key, bundle);
    return bundle;
  };
  const context = async (): Promise<Profile> => profileOf(await browser.newContext(), bundled);
  const first = await context();
  return {
    page: first.page,
    context,
    close: async () => {
      try {
        await first.close();
      } finally {
        await browser.close();
      }
    },
  };
}

function profileOf(context: BrowserContext, bundled: typeof bundleModules): Profile {
  context.setDefaultTimeout(milliseconds);
  context.setDefaultNavigationTimeout(milliseconds);
  const open = new Set<() => Promise<void>>();
  return {
    context,
    async page(options = {}) {
      const { modules = {}, html, path = "/", expectedErrors = [], ...siteOptions } = options;
      const contents = new Map<string, string>(await bundled(modules));
      if (html !== undefined || siteOptions.folders?.["/"] === undefined) contents.set("/", html ?? emptyPage("page" in modules));
      const site = await openSite({ ...siteOptions, contents });
      const errors: string[] = [];
      const pages: Page[] = [];
      const tab = async (of: string): Promise<Page> => {
        const page = await context.newPage();
        pages.push(page);
        page.on("pageerror", (error) => errors.push(error.stack ?? String(error)));
        page.on("console", (message) => {
          if (message.type() === "error") errors.push(`${message.text()} (${message.location().url})`);
        });
        page.on("crash", () => errors.push("the page crashed"));
        await page.goto(site.origin + of);
        return page;
      };
      const end = async (): Promise<void> => {
        if (!open.delete(end)) return;
        await Promise.all(pages.map((page) => page.close()));
        await site.close();
        const unexpected = errors.filter((error) => !expectedErrors.some((pattern) => pattern.test(error)));
        if (unexpected.length > 0) throw new Error(`the page wrote ${unexpected.length} errors:\n${unexpected.join("\n")}`);
      };
      open.add(end);
      endWithTest(end);
      return { page: await tab(path), origin: site.origin, site, errors, tab: (of = path) => tab(of), close: end };
    },
    async close() {
      try {
        await Promise.all(Array.from(open, (end) => end()));
      } finally {
        await context.close();
      }
    },
  };
}

/** What a test opens ends with it; what a hook opens ends with the browser. */
function endWithTest(end: () => Promise<void>): void {
  try {
    onTestFinished(end);
  } catch {
    // Not in a test.
  }
}

const emptyPage = (hasModule: boolean): string =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>test</title><body>${hasModule ? '<script type="module" src="/page.js"></script>' : ""}</body></html>`;
