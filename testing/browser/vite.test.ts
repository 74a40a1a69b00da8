/** examples/vite with the package as it is installed: its dev server and what it builds both write stories. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { build, createServer } from "vite";
import { bundleBrowserFolder } from "./browser-folder.ts";
import { describeInChromium, isChromiumThere } from "./chromium.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
let project: string;

beforeAll(async () => {
  if (isChromiumThere() === undefined) return;
  project = mkdtempSync(join(tmpdir(), "frugal-vite-"));
  cpSync(join(root, "examples/vite"), project, { recursive: true });
  mkdirSync(join(project, "node_modules/frugal/dist"), { recursive: true });
  symlinkSync(join(root, "node_modules/vite"), join(project, "node_modules/vite"));
  cpSync(join(root, "package.json"), join(project, "node_modules/frugal/package.json"));
  const bundle = await bundleBrowserFolder();
  cpSync(bundle.path, join(project, "node_modules/frugal/dist/browser"), { recursive: true });
  bundle.remove();
}, 60_000);
afterAll(() => project && rmSync(project, { recursive: true, force: true }));

async function write(page: Page): Promise<void> {
  await page.getByText(/^Ready: /).waitFor({ timeout: 30_000 });
  expect(await page.getByRole("status").textContent()).toContain("wasm");
  await page.getByRole("button", { name: "Write" }).click();
  await page.getByText(/^Done: \d+ tokens/).waitFor({ timeout: 30_000 });
  expect((await page.locator("#story").textContent())!.length).toBeGreaterThan("Once upon a time".length + 20);
}

describeInChromium("a Vite project", (browser) => {
  test("built", { timeout: 60_000 }, async () => {
    await build({ root: project, logLevel: "error" });
    const { page } = await browser.page({ folders: { "/": join(project, "dist") } });
    await write(page);
  });

  test("in the dev server", { timeout: 60_000 }, async () => {
    const server = await createServer({ root: project, logLevel: "error", server: { port: 0, host: "127.0.0.1" } });
    const profile = await browser.context();
    try {
      await server.listen();
      const page = await profile.context.newPage();
      const errors: string[] = [];
      page.on("pageerror", (error) => errors.push(String(error)));
      await page.goto(server.resolvedUrls!.local[0]!);
      await write(page);
      expect(errors).toEqual([]);
    } finally {
      await profile.close();
      await server.close();
    }
  });
});
