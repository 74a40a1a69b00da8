/** `frugal/browser` in Chromium: the engine in its worker writes what it writes in Node; tabs share it; whatever ends, each run ends once. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import type * as Frugal from "../../src/browser/index.ts";
import { load } from "../../src/index.ts";
import { describeInChromium, type OpenedPage, type PageOptions } from "./chromium.ts";
import { type Route, sendFile } from "./site.ts";

type TestPage = { frugal: typeof Frugal; model: Frugal.BrowserModel; models: Frugal.BrowserModel[]; outcome: unknown[] };
declare const window: TestPage;

const file = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const modules = {
  page: file("testing/browser/pages/client.ts"),
  engine: file("src/browser/engine-worker.ts"),
  hub: file("src/browser/hub-worker.ts"),
  thread: file("src/backends/wasm/thread.ts"),
};
const send =
  (path: string): Route =>
  (request: IncomingMessage, response: ServerResponse) =>
    sendFile(request, response, file(path));
const routes: Readonly<Record<string, Route>> = {
  "/frugal-simd.wasm": send("wasm/frugal-simd.wasm"),
  "/frugal-relaxed.wasm": send("wasm/frugal-relaxed.wasm"),
  "/stories.gguf": send("models/stories/stories.gguf"),
};
const prompt = "Once upon a time";

describeInChromium("frugal/browser", (browser) => {
  const open = async (more: PageOptions = {}): Promise<OpenedPage> => {
    const opened = await browser.page({ ...more, modules, routes: { ...routes, ...more.routes } });
    await ready(opened.page);
    return opened;
  };
  const tabOf = async (opened: OpenedPage): Promise<Page> => {
    const tab = await opened.tab();
    await ready(tab);
    return tab;
  };

  describe("one tab", () => {
    const wanted: Record<string, readonly number[]> = {};
    beforeAll(async () => {
      await using model = await load("stories", { backend: "wasm", threads: 1, context: 256 });
      wanted["greedy"] = (await model.generate(prompt, { maxTokens: 24 })).ids;
      wanted["seeded"] = (await model.generate(prompt, { maxTokens: 24, temperature: 0.9, seed: 7 })).ids;
    }, 60_000);

    test.each([true, false])(
      "writes Node's ids, greedily and seeded; isolated: %s",
      async (isolated) => {
        const { page } = await open({ isolated });
        const done = await page.evaluate(async (text) => {
          const stages = new Set<string>();
          const model = await window.frugal.load("stories", {
            share: false,
            context: 256,
            onProgress: ({ stage }) => stages.add(stage),
          });
          const run = model.generate(text, { maxTokens: 24 });
          let read = "";
          for await (const part of run) read += part.text;
          const [greedy, seeded] = [await run, await model.generate(text, { maxTokens: 24, temperature: 0.9, seed: 7 })];
          const { description } = model.backend;
          await model.dispose();
          return { greedy: greedy.ids, seeded: seeded.ids, read, text: greedy.text, description, stages: [...stages] };
        }, prompt);
        expect(done).toMatchObject({ ...wanted, stages: ["download", "weights"] });
        expect(done.read).toBe(done.text);
        expect(done.description).toMatch(isolated ? /^wasm: .*thread/ : /^wasm: .*1 thread \(the page is not cross-origin isolated\)/);
      },
      60_000,
    );

    test("the page itself is not held up for 50 ms while a model is loaded and writes", async () => {
      const { page } = await open();
      const longest = await page.evaluate(async (text) => {
        const observed: number[] = [];
        new PerformanceObserver((list) => observed.push(...list.getEntries().map(({ duration }) => duration))).observe({
          type: "longtask",
        });
        const model = await window.frugal.load("stories", { share: false, context: 256 });
        await Promise.all([1, 2, 3].map((seed) => model.generate(text, { maxTokens: 60, temperature: 1, seed, ignoreEnd: true })));
        // Entries come after the task that they are about.
        await new Promise((resolve) => setTimeout(resolve, 200));
        await model.dispose();
        return Math.max(0, ...observed);
      }, prompt);
      expect(longest).toBeLessThan(50);
    }, 60_000);

    test("dispose ends the worker and its threads, and what runs then; a File loads again", async () => {
      const { page } = await open();
      const ended = await page.evaluate(async (text) => {
        const blob = await (await fetch("/stories.gguf")).blob();
        const model = await window.frugal.load(new File([blob], "mine.gguf"), { context: 256 });
        const run = model.generate(text, { maxTokens: 200, ignoreEnd: true });
        for await (const _ of run) {
          void model.dispose();
          break;
        }
        return {
          name: model.name,
          ...(await run.then(
            () => ({ code: "done" }),
            (error: Frugal.FrugalError) => ({ code: error.name === "FrugalError" ? error.code : error.name }),
          )),
        };
      }, prompt);
      expect(ended).toMatchObject({ name: "mine.gguf", code: expect.stringMatching(/^(FRUGAL_DISPOSED|AbortError)$/) as string });
      await expect.poll(() => page.workers().length, { timeout: 25_000 }).toBe(0);
      expect(await page.evaluate(writes, "once")).toHaveLength(4);
    }, 60_000);

    test("what is wrong is said in the page as it is in Node", async () => {
      const { page } = await open({
        routes: { "/broken.gguf": (_, response) => response.end("nothing"), "/none.gguf": (_, response) => response.writeHead(404).end() },
        expectedErrors: [/404/],
      });
      const said = await page.evaluate(async () => {
        const { load: loadHere } = window.frugal;
        const codeOf = async (work: () => Promise<unknown>): Promise<string> =>
          work().then(
            () => "done",
            (error: Frugal.FrugalError) =>
              `${error.name === "FrugalError" ? error.code : error.name}: ${error.message} ${Object.keys(error.fields ?? {}).join()}`,
          );
        return [
          await codeOf(() => loadHere("/broken.gguf", { share: false })),
          await codeOf(() => loadHere("/none.gguf", { share: false })),
          await codeOf(() => loadHere("stories", { memory: "1MB", share: false })),
          await codeOf(() => loadHere("stories", { contxt: 3 } as object)),
          await codeOf(() => loadHere("stories", { sha256: "0".repeat(64), share: false })),
          await codeOf(() => loadHere("stories", { files: { engine: "/no-engine.js" }, share: false })),
          await codeOf(() => loadHere(new Blob(["x"]), { share: "group" })),
          await codeOf(() => loadHere("stories", { signal: AbortSignal.abort() })),
        ];
      });
      expect(said).toEqual([
        expect.stringMatching(/^FRUGAL_BAD_FILE/),
        expect.stringMatching(/^FRUGAL_NOT_FOUND/),
        expect.stringMatching(/^FRUGAL_OUT_OF_MEMORY.*may use 1.*needed,available/),
        expect.stringMatching(/^FRUGAL_BAD_ARGUMENT.*did you mean context/),
        expect.stringMatching(/^FRUGAL_BAD_FILE/),
        expect.stringMatching(/^FRUGAL_NOT_FOUND: engine: its worker could not be started/),
        expect.stringMatching(/^FRUGAL_BAD_ARGUMENT.*other tabs cannot read/),
        expect.stringMatching(/^AbortError/),
      ]);
    }, 60_000);

    test("a worker that fails ends each run once, and the next call starts another", async () => {
      const failing = `import "./engine.js"; addEventListener("message", ({ data }) => {}); setTimeout(() => { throw new Error("out of luck"); }, 2500);`;
      let served = 0;
      const { page } = await open({
        routes: {
          "/failing.js": (_, response) => {
            response.setHeader("content-type", "text/javascript");
            response.end(served++ === 0 ? failing : `import "./engine.js";`);
          },
        },
        expectedErrors: [/out of luck/],
      });
      const ended = await page.evaluate(async (text) => {
        const model = await window.frugal.load("stories", { share: false, context: 2048, files: { engine: "/failing.js" } });
        const outcomes: string[] = [];
        const write = async (): Promise<string> =>
          model.generate(text, { maxTokens: 2000, ignoreEnd: true }).then(
            () => "done",
            (error: Frugal.FrugalError) => `${error.code}: ${error.message}`,
          );
        for (let n = 0; n < 20 && !outcomes.some((outcome) => outcome !== "done"); n++)
          outcomes.push(...(await Promise.all([write(), write()])));
        const after = (await model.generate(text, { maxTokens: 3 })).ids.length;
        await model.dispose();
        return { outcomes: [...new Set(outcomes.slice(-2))], after };
      }, prompt);
      expect(ended.outcomes).toEqual([expect.stringMatching(/^FRUGAL_ENDED: engine: its worker failed: .*out of luck/)]);
      expect(ended.after).toBe(3);
    }, 60_000);
  });

  describe("tabs", () => {
    test("two share one engine: one worker, one download, ids as alone; each gives up only its own hold", async () => {
      const opened = await open();
      const [first, second] = [opened.page, await tabOf(opened)];
      await Promise.all([first, second].map((page) => page.evaluate(begins)));
      expect(first.workers().length + second.workers().length).toBeGreaterThan(0);
      expect([first, second].filter((page) => page.workers().length > 0)).toHaveLength(1);
      expect(opened.site.requests.filter((request) => request.startsWith("GET /stories.gguf"))).toHaveLength(1);
      const both = await Promise.all([first, second].map((page) => page.evaluate(writes, "held")));
      expect(both[0]).toEqual(both[1]);
      const host = first.workers().length > 0 ? first : second;
      const other = host === first ? second : first;
      await host.evaluate(() => window.model.dispose());
      // The engine lives on in the tab that is done with it.
      expect(await other.evaluate(writes, "held")).toEqual(both[0]);
      await other.evaluate(() => window.model.dispose());
      await expect.poll(() => host.workers().length, { timeout: 25_000 }).toBe(0);
    }, 60_000);

    test("when the host's tab is closed the others' runs end with what happened, and their next call takes over", async () => {
      const opened = await open();
      const [first, second] = [opened.page, await tabOf(opened)];
      await first.evaluate(begins);
      await second.evaluate(begins);
      expect(first.workers().length).toBeGreaterThan(0);
      await second.evaluate((text) => {
        window.outcome = [];
        const note = (what: unknown): void => void window.outcome.push(what);
        const forever = async (): Promise<void> => {
          for (;;) await window.model.generate(text, { maxTokens: 200, ignoreEnd: true });
        };
        forever().catch((error: Frugal.FrugalError) => note({ code: error.code, message: error.message, retry: error.fields["retry"] }));
      }, prompt);
      await first.close();
      await second.waitForFunction(() => window.outcome.length > 0);
      expect(await second.evaluate(() => window.outcome)).toEqual([
        { code: "FRUGAL_ENDED", message: expect.stringMatching(/the tab that ran it was closed/) as string, retry: true },
      ]);
      expect(await second.evaluate(writes, "held")).toHaveLength(4);
      expect(second.workers().length).toBeGreaterThan(0);
      // Kept from before: nothing was downloaded again.
      expect(opened.site.requests.filter((request) => request.startsWith("GET /stories.gguf"))).toHaveLength(1);
      await second.evaluate(() => window.model.dispose());
    }, 60_000);

    test("a tab that is closed leaves the others' runs alone, and nothing of its own", async () => {
      const opened = await open();
      const [first, second] = [opened.page, await tabOf(opened)];
      await first.evaluate(begins);
      await second.evaluate(begins);
      await second.evaluate(
        (text) => void window.model.generate(text, { maxTokens: 240, ignoreEnd: true }).then(undefined, () => undefined),
        prompt,
      );
      await second.close();
      await first.waitForFunction(async () => (await window.model.stats()).running === 0);
      expect(await first.evaluate(writes, "held")).toHaveLength(4);
      await first.evaluate(() => window.model.dispose());
    }, 60_000);

    test("groups by name: another model in a group is refused, and without sharing each tab has its worker", async () => {
      const opened = await open();
      const [first, second] = [opened.page, await tabOf(opened)];
      const loads = (page: Page, share: boolean | string, context: number): Promise<string> =>
        page.evaluate(
          async ([how, length]) =>
            window.frugal.load("stories", { share: how as string, context: length as number }).then(
              (model) => {
                (window.models ??= []).push(model);
                return "loaded";
              },
              (error: Frugal.FrugalError) => error.message,
            ),
          [share, context] as const,
        );
      expect(await loads(first, "ours", 128)).toBe("loaded");
      expect(await loads(second, "ours", 64)).toMatch(/the tabs of this group share .* name another group/);
      expect(await loads(second, "ours", 128)).toBe("loaded");
      expect(second.workers()).toHaveLength(0);
      expect(await loads(second, false, 128)).toBe("loaded");
      expect(second.workers().length).toBeGreaterThan(0);
      for (const page of [first, second]) await page.evaluate(() => Promise.all(window.models.map((model) => model.dispose())));
    }, 60_000);
  });

  test("a LoRA is tuned in a tab, and texts name it; a model is stored coarser", async () => {
    const { page } = await open();
    const done = await page.evaluate(async () => {
      const { load: loadHere, tune, techniques, quantize } = window.frugal;
      const model = await loadHere("stories", { share: false, context: 128, adapterSlots: { count: 1, rank: 4 } });
      const training = tune(model, [{ prompt: "Once", completion: " more more" }], techniques.lora({ rank: 4 }), {
        steps: 3,
        learningRate: 0.02,
      });
      const steps: number[] = [];
      for await (const { step } of training) steps.push(step);
      const { losses, files } = await training;
      await model.adapters.load("more", files!);
      const tuned = await model.generate("Once", { maxTokens: 4, adapter: "more" });
      const plain = await model.generate("Once", { maxTokens: 4 });
      await model.dispose();
      const { file: coarse, before, after } = await quantize("stories", { format: "Q4_0" });
      const again = await loadHere(coarse!, { context: 128 });
      const written = (await again.generate("Once", { maxTokens: 4 })).ids.length;
      await again.dispose();
      return { steps, falls: losses.at(-1)! < losses[0]!, differ: tuned.text !== plain.text, smaller: after.bytes < before.bytes, written };
    });
    expect(done).toEqual({ steps: [1, 2, 3], falls: true, differ: true, smaller: true, written: 4 });
  }, 120_000);
});

const ready = (page: Page): Promise<unknown> => page.waitForFunction(() => document.title === "ready");

async function begins(): Promise<void> {
  window.model = await window.frugal.load("stories", { context: 256 });
}

async function writes(how: string): Promise<readonly number[]> {
  const model = how === "held" ? window.model : await window.frugal.load("stories", { share: false, context: 64 });
  const { ids } = await model.generate("Once upon a time", { maxTokens: 4 });
  if (how !== "held") await model.dispose();
  return ids;
}
