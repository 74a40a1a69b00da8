/** What a page's user waits for and pays: the first token of a cold page whose model is stored, and memory after load and dispose, ten times. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import type { Importing } from "./contestants.ts";
import { collectGarbage, inBrowser, renderersMegabytes } from "./chromium.ts";

interface Model {
  generate(prompt: string, options: object): PromiseLike<unknown>;
  dispose(): Promise<void>;
}
interface FrugalPage {
  load(source: string | Blob, options?: object): Promise<Model>;
}

/** Seconds from the start of the page's load to the first token, in a browser that was just started and has seen the page before. */
export async function coldFirstToken(origin: string): Promise<number> {
  const profile = await mkdtemp(join(tmpdir(), "frugal-bench-"));
  try {
    const visit = (): Promise<number> =>
      inBrowser(async (context) => {
        const page = await context.newPage();
        await page.goto(origin);
        return page.evaluate(async () => {
          const { load } = (await (globalThis as unknown as Importing).importModule("/frugal/frugal.js")) as FrugalPage;
          const model = await load("stories");
          await model.generate("Once upon a time", { maxTokens: 1 });
          const seconds = performance.now() / 1000;
          await model.dispose();
          return seconds;
        });
      }, profile);
    await visit();
    return await visit();
  } finally {
    await rm(profile, { recursive: true, force: true });
  }
}

/** Megabytes of the page's processes before the first load and after each dispose. */
export const memoryAfterDispose = (origin: string, model: string, threads: number, times: number): Promise<number[]> =>
  inBrowser(async (context) => {
    const page = await context.newPage();
    await page.goto(origin);
    const samples = [await settled(page)];
    for (let i = 0; i < times; i++) {
      await page.evaluate(
        async (given) => {
          const { load } = (await (globalThis as unknown as Importing).importModule("/frugal/frugal.js")) as FrugalPage;
          // A file of this size is kept outside of the page's memory.
          const loaded = await load(new File([await (await fetch(given.model)).blob()], "model.gguf"), {
            threads: given.threads,
            context: 2048,
          });
          await loaded.generate("A story about", { maxTokens: 8 });
          await loaded.dispose();
        },
        { model, threads },
      );
      samples.push(await settled(page));
    }
    return samples;
  });

async function settled(page: Page): Promise<number> {
  await collectGarbage(page);
  await page.waitForTimeout(1000);
  return renderersMegabytes(page);
}
