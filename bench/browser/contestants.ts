/** What is done in a page, for each engine the same: load a blob, read a prompt, write tokens one at a time, and several texts at once. */
import type { Page } from "playwright-core";

export interface Task {
  readonly model: string;
  readonly threads: number;
  readonly prompt: string;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  readonly tokens: number;
  readonly context: number;
}

export interface Sample {
  readonly loadSeconds: number;
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
  /** Of all texts together, by how many there are; of engines that can. */
  readonly together: Readonly<Record<number, number>>;
  readonly about: string;
}

export type Contestant = (page: Page, task: Task) => Promise<Sample>;

/** What the server's page offers. */
export interface Importing {
  importModule(address: string): Promise<unknown>;
}

/** The types of what pages import: this file's own words, as the addresses are the server's. */
interface FrugalPage {
  load(
    source: Blob,
    options: object,
  ): Promise<{
    readonly backend: { readonly description: string };
    generate(
      prompt: string,
      options: object,
    ): AsyncIterable<unknown> & PromiseLike<{ readonly ids: readonly number[]; readonly promptIds: readonly number[] }>;
    tokenizer(): Promise<{ encode(text: string): Promise<Int32Array>; decode(ids: ArrayLike<number>): Promise<string> }>;
    dispose(): Promise<void>;
  }>;
}

export const frugal: Contestant = (page, task) =>
  page.evaluate(async ({ model, threads, prompt, promptTokens, tokens, context }) => {
    const { load } = (await (globalThis as unknown as Importing).importModule("/frugal/frugal.js")) as FrugalPage;
    const blob = await (await fetch(model)).blob();
    const began = performance.now();
    const loaded = await load(new File([blob], "model.gguf"), { threads, context, sequences: 4, cacheTokens: 2 * context });
    const loadSeconds = (performance.now() - began) / 1000;
    const write = async (text: string, maxTokens: number): Promise<{ first: number; last: number; read: number; written: number }> => {
      const start = performance.now();
      let first = 0;
      const run = loaded.generate(text, { maxTokens, temperature: 0, ignoreEnd: true, speculation: "off" });
      for await (const _ of run) first ||= performance.now() - start;
      const { ids, promptIds } = await run;
      return { first: first / 1000, last: (performance.now() - start) / 1000, read: promptIds.length, written: ids.length };
    };
    await write("The weather today is", 16); // the engine's code is compiled in steps, as it proves to be hot
    const alone = await write(prompt, tokens);
    if (alone.read !== promptTokens) throw new Error(`the prompt has ${alone.read} tokens, not ${promptTokens}`);
    const together: Record<number, number> = {};
    for (const count of [1, 2, 4]) {
      const start = performance.now();
      const texts = Array.from({ length: count }, (_, i) => write(`${count}.${i}: A story about a`, tokens));
      const written = (await Promise.all(texts)).reduce((sum, text) => sum + text.written, 0);
      together[count] = written / ((performance.now() - start) / 1000);
    }
    const about = loaded.backend.description;
    await loaded.dispose();
    return {
      loadSeconds,
      prefillTokensPerSecond: alone.read / alone.first,
      decodeTokensPerSecond: (alone.written - 1) / (alone.last - alone.first),
      together,
      about,
    };
  }, task);

interface WllamaPage {
  readonly Wllama: {
    new (
      paths: object,
      options: object,
    ): {
      loadModel(blobs: Blob[], options: object): Promise<void>;
      createCompletion(options: object): Promise<
        AsyncIterable<{
          readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
          readonly timings?: { readonly prompt_n: number; readonly predicted_n: number };
        }>
      >;
      getNumThreads(): number;
      exit(): Promise<void>;
    };
    getLibllamaVersion(): string;
  };
}

export const wllama: Contestant = (page, task) =>
  page.evaluate(async ({ model, threads, prompt, promptTokens, tokens, context }) => {
    const { Wllama } = (await (globalThis as unknown as Importing).importModule("/wllama/esm/index.js")) as WllamaPage;
    const blob = await (await fetch(model)).blob();
    const engine = new Wllama({ default: "/wllama/esm/wasm/wllama.wasm" }, { suppressNativeLog: true });
    const began = performance.now();
    await engine.loadModel([new File([blob], "model.gguf")], { n_ctx: context, n_threads: threads, n_gpu_layers: 0 });
    const loadSeconds = (performance.now() - began) / 1000;
    const write = async (text: string, maxTokens: number): Promise<{ first: number; last: number; read: number; written: number }> => {
      const start = performance.now();
      let [first, read, written] = [0, 0, 0];
      const chunks = await engine.createCompletion({ prompt: text, max_tokens: maxTokens, temperature: 0, ignore_eos: true, stream: true });
      for await (const { timings, usage } of chunks) {
        first ||= performance.now() - start;
        read = timings?.prompt_n ?? usage?.prompt_tokens ?? read;
        written = timings?.predicted_n ?? usage?.completion_tokens ?? written;
      }
      return { first: first / 1000, last: (performance.now() - start) / 1000, read, written };
    };
    await write("The weather today is", 16);
    const alone = await write(prompt, tokens);
    if (Math.abs(alone.read - promptTokens) > 2) throw new Error(`the prompt has ${alone.read} tokens, not ${promptTokens}`);
    const about = `llama.cpp ${Wllama.getLibllamaVersion()}, ${engine.getNumThreads()} threads`;
    await engine.exit();
    return {
      loadSeconds,
      prefillTokensPerSecond: alone.read / alone.first,
      decodeTokensPerSecond: (alone.written - 1) / (alone.last - alone.first),
      together: {},
      about,
    };
  }, task);

/** The beginning of a text that has so many tokens, the one before all included. */
export const cutPrompt = (page: Page, model: string, text: string, tokens: number): Promise<string> =>
  page.evaluate(
    async (given) => {
      const { load } = (await (globalThis as unknown as Importing).importModule("/frugal/frugal.js")) as FrugalPage;
      const loaded = await load(new File([await (await fetch(given.model)).blob()], "model.gguf"), { context: 512 });
      const tokenizer = await loaded.tokenizer();
      const ids = await tokenizer.encode(given.text);
      // A cut inside of a word may be written with other tokens.
      for (let length = given.tokens; length > given.tokens - 20; length--) {
        const cut = await tokenizer.decode(ids.slice(0, length));
        if ((await tokenizer.encode(cut)).length === given.tokens) return (await loaded.dispose(), cut);
      }
      throw new Error(`no beginning of the text has ${given.tokens} tokens`);
    },
    { model, text, tokens },
  );
