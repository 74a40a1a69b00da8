/** The published bundle in a real Chromium, from the first byte to the last: nothing is put in anything's place. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { load, quantize } from "../../src/index.ts";
import { contentHash, serveHub } from "../servers/hub.ts";
import { describeInChromium } from "./chromium.ts";
import { memoryOf, type PublishedBundle, publishedBundle } from "./end-to-end.ts";
import { sendBytes } from "./site.ts";

const stories = fileURLToPath(new URL("../../models/stories/stories.gguf", import.meta.url));
const bytes = readFileSync(stories);
const prompt = "Once upon a time";
const tokens = 200;

let bundle: PublishedBundle;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "frugal-end-to-end-"));
  bundle = await publishedBundle();
});
afterAll(() => {
  bundle.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** Greedy ids of Node on a backend. */
async function idsOf(
  source: string,
  backend: "native" | "wasm",
  options: { adapter?: string; maxTokens?: number } = {},
): Promise<number[]> {
  const { adapter, maxTokens = tokens } = options;
  // Threads change nothing; those of WebAssembly in Node are found in dist/, which may be older than the sources.
  await using model = await load(source, { backend, threads: backend === "wasm" ? 1 : 2, ...(adapter === undefined ? {} : { adapter }) });
  return [...(await model.generate(prompt, { maxTokens, temperature: 0 })).ids];
}

describeInChromium("end to end", (browser) => {
  describe("the same text from everywhere", () => {
    let wanted: number[];
    beforeAll(async () => void (wanted = await idsOf(stories, "wasm")));

    test("as Node writes natively, up to ties of logits", async () => {
      expect(wanted.length).toBeGreaterThan(20);
      const native = await idsOf(stories, "native");
      const place = native.findIndex((id, i) => wanted[i] !== id);
      if (place < 0) return expect(wanted).toEqual(native);
      // Sums are in another order there: where the two best logits are nearer to each other than that changes them, either may win.
      await using model = await load(stories, { backend: "native" });
      const ids = (await model.tokenizer()).encode(prompt);
      const [logits] = await model.logits([...ids, ...native.slice(0, place)]);
      expect(Math.abs(logits![native[place]!]! - logits![wanted[place]!]!)).toBeLessThan(0.02);
    });

    test.each([true, false])("from a URL, on threads where the page is isolated: %s", async (isolated) => {
      const { page } = await bundle.open(browser, { isolated });
      const found = await page.evaluate(
        async ([text, maxTokens]) => {
          const model = await frugal.load("stories", { share: false });
          const { ids } = await model.generate(text, { maxTokens, temperature: 0 });
          const { name, description } = model.backend;
          await model.dispose();
          return { ids: [...ids], name, description };
        },
        [prompt, tokens] as const,
      );
      expect(found.ids).toEqual(wanted);
      expect(found.name).toBe("wasm");
    });

    test("from a File, and from the browser's private file system", async () => {
      const { page } = await bundle.open(browser, { folders: { "/models/": dirname(stories) } });
      const found = await page.evaluate(
        async ([text, maxTokens]) => {
          const blob = await (await fetch("/models/stories.gguf")).blob();
          const handle = await (await navigator.storage.getDirectory()).getFileHandle("mine.gguf", { create: true });
          const stream = await handle.createWritable();
          await stream.write(blob);
          await stream.close();
          const all: number[][] = [];
          for (const source of [new File([blob], "chosen.gguf"), handle]) {
            const model = await frugal.load(source);
            all.push([...(await model.generate(text, { maxTokens, temperature: 0 })).ids]);
            await model.dispose();
          }
          return all;
        },
        [prompt, tokens] as const,
      );
      expect(found).toEqual([wanted, wanted]);
    });

    test("from a hub, once: the next visit asks nobody", async () => {
      const hub = await serveHub("someone/stories", [{ path: "stories.gguf", bytes, large: true }]);
      try {
        const opened = await bundle.open(browser);
        const ask = (): Promise<number[]> =>
          opened.page.evaluate(
            async ([text, maxTokens, endpoint]) => {
              const model = await frugal.load("hf:someone/stories:stories.gguf", { share: false, hub: { endpoint } });
              const { ids } = await model.generate(text, { maxTokens, temperature: 0 });
              await model.dispose();
              return [...ids];
            },
            [prompt, tokens, hub.endpoint] as const,
          );
        expect(await ask()).toEqual(wanted);
        const asked = hub.seen.length;
        await opened.page.reload();
        await opened.page.waitForFunction(() => "frugal" in globalThis);
        expect(await ask()).toEqual(wanted);
        expect(hub.seen.length).toBe(asked);
      } finally {
        await hub.close();
      }
    });
  });

  test("an adapter tuned in the tab changes the text there, and in Node", async () => {
    const { page } = await bundle.open(browser);
    const done = await page.evaluate(async (text) => {
      const model = await frugal.load("stories", { share: false, adapterSlots: { count: 1, rank: 4 } });
      const ask = async (options: object): Promise<number[]> => [
        ...(await model.generate(text, { maxTokens: 12, temperature: 0, ...options })).ids,
      ];
      const before = await ask({});
      const examples = [{ prompt: text, completion: " zig zag zig zag zig" }];
      const training = frugal.tune(model, examples, frugal.techniques.lora({ rank: 4 }), {
        steps: 20,
        examplesPerStep: 1,
        learningRate: 0.02,
        order: "file",
      });
      const seen: number[] = [];
      for await (const { loss } of training) seen.push(loss);
      const { files, losses } = await training;
      await model.adapters.load("zig", files!);
      const [after, still] = [await ask({ adapter: "zig" }), await ask({})];
      const decoded = await (await model.tokenizer()).decode(after);
      await model.dispose();
      const { "adapter_config.json": config, "adapter_model.safetensors": tensors } = files!;
      return { before, after, still, decoded, seen, losses: [...losses], config, tensors: Array.from(tensors) };
    }, prompt);
    expect(done.seen).toEqual(done.losses);
    expect(done.losses.at(-1)).toBeLessThan(0.3 * done.losses[0]!);
    expect(done.decoded).toMatch(/zig|zag/);
    expect(done.after).not.toEqual(done.before);
    expect(done.still).toEqual(done.before);
    const adapter = join(folder, "adapter");
    mkdirSync(adapter);
    writeFileSync(join(adapter, "adapter_config.json"), done.config);
    writeFileSync(join(adapter, "adapter_model.safetensors"), Uint8Array.from(done.tensors));
    expect(await idsOf(stories, "wasm", { adapter, maxTokens: 12 })).toEqual(done.after);
  });

  test("a model quantised in the tab is downloaded as the file that Node makes", async () => {
    const { page } = await bundle.open(browser);
    const download = page.waitForEvent("download");
    const result = await page.evaluate(async () => {
      const progress: number[] = [];
      const { file, ...numbers } = await frugal.quantize("stories", {
        format: "Q4_0",
        onProgress: ({ done, total }) => progress.push(done / total),
      });
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file!), download: "stories-q4_0.gguf" });
      link.click();
      return { ...numbers, progress };
    });
    const out = join(folder, "downloaded.gguf");
    await (await download).saveAs(out);
    const expected = join(folder, "expected.gguf");
    expect(await quantize(stories, { format: "Q4_0", out: expected })).toEqual({
      before: result.before,
      after: result.after,
      formats: result.formats,
    });
    expect(result.progress.at(-1)).toBe(1);
    expect(Buffer.compare(readFileSync(out), readFileSync(expected))).toBe(0);
    expect((await idsOf(out, "wasm", { maxTokens: 20 })).length).toBe(20);
  });

  test("an abort is heard within 500 ms, and the model goes on", async () => {
    const { page } = await bundle.open(browser);
    const found = await page.evaluate(async (text) => {
      const model = await frugal.load("stories", { share: false });
      const controller = new AbortController();
      const run = model.generate(text, { maxTokens: 480, temperature: 1, seed: 3, signal: controller.signal });
      let began = 0;
      let parts = 0;
      const failure = await (async () => {
        for await (const _ of run) {
          if (++parts < 3) continue;
          began = performance.now();
          controller.abort(new Error("enough"));
        }
      })().then(
        () => "none",
        (error: unknown) => String(error),
      );
      const milliseconds = performance.now() - began;
      const again = await model.generate(text, { maxTokens: 3, temperature: 0 });
      await model.dispose();
      return { failure, milliseconds, again: again.ids.length };
    }, prompt);
    expect(found).toMatchObject({ failure: "Error: enough", again: 3 });
    expect(found.milliseconds).toBeLessThan(500);
  });

  test("a broken download is taken up where it broke", async () => {
    let requests = 0;
    const opened = await bundle.open(browser, {
      expectedErrors: [/ERR_|Failed to load resource/],
      routes: {
        "/broken.gguf": (request, response) => {
          if (++requests > 1) return sendBytes(request, response, bytes, { etag: '"one"' });
          // A third of the bytes, and then the connection is gone.
          response.writeHead(200, { "content-length": bytes.length, etag: '"one"', "accept-ranges": "bytes" });
          response.write(bytes.subarray(0, bytes.length / 3));
          setTimeout(() => response.destroy(), 500);
        },
      },
    });
    const progress = await opened.page.evaluate(async (sha256) => {
      const seen: number[] = [];
      const onProgress = ({ stage, done }: { stage: string; done: number }): void => void (stage === "download" && seen.push(done));
      const model = await frugal.load("/broken.gguf", { share: false, sha256, onProgress });
      await model.dispose();
      return seen;
    }, contentHash(bytes));
    const ranges = opened.site.requests.filter((request) => request.includes("/broken.gguf"));
    expect(ranges[0]).toMatch(/^GET \/broken\.gguf(?: bytes=0-)?$/);
    expect(ranges.slice(1)).toEqual([expect.stringMatching(/^GET \/broken\.gguf bytes=[1-9]\d*-/)]);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(progress.at(-1)).toBe(bytes.length);
  });

  test("two tabs write with one engine, each its own text", async () => {
    const opened = await bundle.open(browser);
    const other = await opened.tab();
    const pages = [opened.page, other];
    await Promise.all(pages.map((page) => page.evaluate(async () => Object.assign(globalThis, { model: await frugal.load("stories") }))));
    const workers = pages.reduce((sum, page) => sum + page.workers().filter((worker) => worker.url().includes("engine.js")).length, 0);
    expect(workers).toBe(1);
    const texts = (page: (typeof pages)[number], seed: number): Promise<string> =>
      page.evaluate(
        async ([text, chosen]) => {
          const { model } = globalThis as unknown as { model: import("../../src/browser/index.ts").BrowserModel };
          const write = async (): Promise<string> => (await model.generate(text, { maxTokens: 60, temperature: 0.8, seed: chosen })).text;
          // What is under way when its engine goes is told so, and may be asked again.
          return write().catch((error: unknown) => {
            if (!(error instanceof frugal.FrugalError) || error.code !== "FRUGAL_ENDED") throw error;
            return write();
          });
        },
        [prompt, seed] as const,
      );
    const together = await Promise.all(pages.map((page, seed) => texts(page, seed)));
    const alone = [await texts(opened.page, 0), await texts(opened.page, 1)];
    expect(together).toEqual(alone);
    expect(together[0]).not.toBe(together[1]);
    // The tab that began goes; the other finds another engine.
    await opened.page.close();
    expect(await texts(other, 1)).toBe(alone[1]);
  });

  test("ten loads in a row leave no worker, and memory flat within 5 %", async () => {
    const { page } = await bundle.open(browser);
    const memory = await memoryOf(page);
    const turns = async (count: number): Promise<number> => {
      for (let turn = 0; turn < count; turn++)
        await page.evaluate(async (text) => {
          const model = await frugal.load("stories", { share: false });
          await model.generate(text, { maxTokens: 2 });
          await model.dispose();
        }, prompt);
      await expect.poll(() => page.workers().length, { timeout: 6000 }).toBe(0);
      return memory();
    };
    const [first, last] = [await turns(3), await turns(10)];
    expect(last / first).toBeLessThan(1.05);
  });
});
