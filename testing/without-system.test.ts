/** Tuning and quantising where there is no operating system: the bundle for browsers in a thread whose `process` is gone, and in Chromium. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Worker as Thread } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { load, quantize } from "../src/index.ts";
import { bundleModules } from "./browser/bundle-modules.ts";
import { describeInChromium } from "./browser/chromium.ts";
import type { Done } from "./browser/pages/without-system.ts";

const stories = fileURLToPath(new URL("../models/stories/stories.gguf", import.meta.url));
const entry = fileURLToPath(new URL("browser/pages/without-system.ts", import.meta.url));

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "frugal-without-"))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function expectDone({ losses, adapter, before, after, quantized, refused }: Done): Promise<void> {
  expect(losses.at(-1)).toBeLessThan(0.7 * losses[0]!);
  expect(after).not.toEqual(before);
  expect(refused).toMatch(/there is no file system here/);
  // The files are what Node takes and makes.
  const [place, coarse] = [join(folder, "adapter"), join(folder, "coarse.gguf")];
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "adapter_config.json"), adapter.config);
  writeFileSync(join(place, "adapter_model.safetensors"), adapter.bytes);
  await using tuned = await load(stories, { adapter: place, backend: "reference", context: 64 });
  expect([...(await tuned.generate("Once upon a time", { maxTokens: 4, temperature: 0 })).ids]).toEqual([...after]);
  await quantize(stories, { format: "Q4_0", out: coarse });
  expect(Buffer.compare(quantized, readFileSync(coarse))).toBe(0);
}

describe("in a thread without process", () => {
  /** Takes away what only Node has before the bundle is loaded. */
  const begin = `
    const { parentPort, workerData } = require("node:worker_threads");
    for (const name of ["process", "Buffer", "global", "setImmediate", "clearImmediate"]) delete globalThis[name];
    import(workerData.url).then(({ tuneAndQuantize }) => tuneAndQuantize(workerData.bytes)).then(
      (done) => parentPort.postMessage(done), (error) => parentPort.postMessage({ failed: String(error.stack) }));
  `;

  test("tunes, loads the adapter, quantises", async () => {
    for (const [path, code] of await bundleModules({ entry })) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), code);
    }
    writeFileSync(join(folder, "package.json"), '{"type":"module"}');
    const workerData = { url: pathToFileURL(join(folder, "entry.js")).href, bytes: new Uint8Array(readFileSync(stories)) };
    const worker = new Thread(begin, { eval: true, workerData });
    const done = await new Promise<Done & { readonly failed?: string }>((resolve, reject) =>
      worker.once("message", resolve).once("error", reject),
    );
    await worker.terminate();
    expect(done.failed).toBe(undefined);
    await expectDone(done);
  }, 60_000);
});

describeInChromium("in a worker of Chromium", (browser) => {
  test("tunes, loads the adapter, quantises", async () => {
    const { page } = await browser.page({ modules: { worker: entry }, folders: { "/models/": dirname(stories) } });
    const done = await page.evaluate(async () => {
      const worker = new Worker("/worker.js", { type: "module" });
      const answer = new Promise<Record<string, unknown>>((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data as Record<string, unknown>);
        worker.onerror = ({ message }) => reject(new Error(message));
      });
      worker.postMessage("/models/stories.gguf");
      const result = (await answer) as unknown as Done & { failed?: string };
      worker.terminate();
      if (result.failed !== undefined) throw new Error(result.failed);
      const list = (bytes: Uint8Array): number[] => Array.from(bytes);
      return {
        ...result,
        adapter: { config: result.adapter.config, bytes: list(result.adapter.bytes) },
        quantized: list(result.quantized),
      };
    });
    const { adapter, quantized } = done;
    await expectDone({
      ...done,
      adapter: { config: adapter.config, bytes: Uint8Array.from(adapter.bytes) },
      quantized: Uint8Array.from(quantized),
    });
  }, 60_000);
});
