/** Models written in a browser: into a Blob, and into a file of the origin's storage, which is whole or as it was. */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { memorySink } from "../../src/formats/sink.ts";
import { quantize } from "../../src/techniques/quantize.ts";
import { describeInChromium } from "./chromium.ts";
import type { Sunk } from "./pages/sinks.ts";

const stories = fileURLToPath(new URL("../../models/stories/stories.gguf", import.meta.url));
const entry = fileURLToPath(new URL("pages/sinks.ts", import.meta.url));

describeInChromium("quantised in a browser", (browser) => {
  test("the bytes are those that Node writes", async () => {
    const { page } = await browser.page({ modules: { worker: entry }, folders: { "/models/": dirname(stories) } });
    const sunk = await page.evaluate(async () => {
      const worker = new Worker("/worker.js", { type: "module" });
      const answer = new Promise<unknown>((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
      });
      worker.postMessage("/models/stories.gguf");
      return (await answer) as Sunk & { readonly failed?: string };
    });
    expect(sunk.failed).toBe(undefined);
    const sink = memorySink("coarse");
    await quantize(stories, { format: "Q4_0", out: sink });
    const expected = createHash("sha256").update(sink.bytes()).digest("hex");
    expect([sunk.blob, sunk.file, sunk.same]).toEqual([expected, expected, true]);
    expect(sunk.progress.at(-1)).toBe(1);
    expect(sunk.afterAbort).toBe(`AbortError: signal is aborted without reason ${expected}`);
    expect(sunk.refused).toEqual([
      expect.stringMatching(/format is "Q4_9"; did you mean Q4_0\?/),
      expect.stringMatching(/out is no file that can be written here/),
      expect.stringMatching(/unknown option "fromat"; did you mean format\?/),
    ]);
  }, 60_000);
});
