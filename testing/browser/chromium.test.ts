/** The harness of the browser's tests: what it serves, bundles, counts as a fault and closes. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { bundleModules } from "./bundle-modules.ts";
import { describeInChromium } from "./chromium.ts";
import { openSite, sendBytes } from "./site.ts";

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const modules = { page: file("pages/page.ts"), worker: file("pages/worker.ts") };

describeInChromium("the harness", (browser) => {
  test.each([
    [true, "isolated: true"],
    [false, "isolated: false"],
  ])("bundles a page and its worker from the sources, isolated: %s", async (isolated, said) => {
    const { page } = await browser.page({ modules, isolated });
    await page.getByText(`nearest: abd, ${said}`).waitFor();
  });

  test("tabs share a profile, another context does not", async () => {
    const opened = await browser.page({ html: "<title>a</title>" });
    await opened.page.evaluate(() => localStorage.setItem("name", "here"));
    const second = await opened.tab();
    expect(await second.evaluate(() => localStorage.getItem("name"))).toBe("here");
    const other = await browser.context();
    const apart = await other.page({ html: "" });
    expect(await apart.page.evaluate(() => localStorage.getItem("name"))).toBeNull();
    await other.close();
  });

  test("answers ranges, and whole files where a validator has changed", async () => {
    const { page, site } = await browser.page({
      routes: { "/data": (_, response) => sendBytes(_, response, Buffer.from("0123456789"), { etag: '"1"' }) },
    });
    const ask = (headers: Record<string, string>): Promise<unknown> =>
      page.evaluate(async (sent) => {
        const answer = await fetch("/data", { headers: sent });
        return [answer.status, answer.headers.get("content-range"), await answer.text()];
      }, headers);
    expect(await ask({ range: "bytes=4-" })).toEqual([206, "bytes 4-9/10", "456789"]);
    expect(await ask({ range: "bytes=4-5", "if-range": '"1"' })).toEqual([206, "bytes 4-5/10", "45"]);
    expect(await ask({ range: "bytes=4-", "if-range": '"0"' })).toEqual([200, null, "0123456789"]);
    expect(site.requests).toContain("GET /data bytes=4-5");
  });

  test("serves folders with the media type that WebAssembly needs, and nothing outside of them", async () => {
    const { origin } = await browser.page({ folders: { "/fixtures/": file("pages") } });
    expect((await fetch(`${origin}/fixtures/page.ts`)).status).toBe(200);
    expect((await fetch(`${origin}/fixtures/..%2fsite.ts`)).status).toBe(404);
    const site = await openSite({ contents: new Map([["/a.wasm", new Uint8Array(4)]]) });
    expect((await fetch(`${site.origin}/a.wasm`)).headers.get("content-type")).toBe("application/wasm");
    await site.close();
  });

  test("a page's errors fail its test unless it expects them", async () => {
    const script = `<script>console.error("first"); throw new Error("second")</script>`;
    await browser.page({ html: script, expectedErrors: [/first/, /second/] });
    await browser.page({ html: "<img src=/missing.png>", expectedErrors: [/404/] });
    const { close, errors } = await browser.page({ html: script, expectedErrors: [/first/] });
    expect(errors).toHaveLength(2);
    await expect(close()).rejects.toThrow(/the page wrote 1 errors:\nError: second/);
  });
});

test("a bundle that would need Node is refused, and says who asks", async () => {
  await expect(bundleModules({ site: file("site.ts") })).rejects.toThrow(/site\.ts imports node:\w+, which browsers do not have/);
});
