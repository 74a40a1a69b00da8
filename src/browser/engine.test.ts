/** Pages and the engine over real ports: the same answers as without them, one end to each call, and nothing left of pages that are gone. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import type { FrugalModel } from "../serving/model.ts";
import { load } from "../techniques/load.ts";
import { FrugalError } from "../tensor/error.ts";
import { bytesSource } from "../tensor/source.ts";
import { adapterRecord } from "./adapter-record.ts";
import { type Caller, createCaller, type Port } from "./caller.ts";
import type { Link } from "./connect.ts";
import { createPageEngine, type ModelDescription, type PageEngine, type SentLoadOptions } from "./engine.ts";
import { browserModel, type BrowserModel } from "./model.ts";
import type { SourceRecord } from "./source.ts";
import { techniques } from "./techniques.ts";
import { tune } from "./tune.ts";

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const story = path("models/stories/stories.gguf");
const source: SourceRecord = { kind: "url", url: "https://models.test/stories.gguf", name: "stories.gguf" };
const options: SentLoadOptions = { context: 128, sequences: 4 };
const prompt = "Once upon a time";

let engine: PageEngine;
let opened = 0;
let closed = 0;
const pages: { readonly link: Link; readonly ended: Set<() => void> }[] = [];

beforeEach(() => {
  opened = 0;
  closed = 0;
  engine = createPageEngine({
    async open({ name }, { onDownload }) {
      opened++;
      onDownload(1, 2);
      const bytes = await readFile(name === "adapter" ? name : story);
      return { name, files: new Map([["stories.gguf", { ...bytesSource(name, bytes), close: async () => void closed++ }]]) };
    },
    backend: async () => createReferenceBackend(),
  });
});
afterEach(async () => {
  await Promise.all(pages.splice(0).map(({ link }) => link.close(new Error("over"))));
  await engine.dispose();
});

const ends: (() => Promise<void>)[] = [];
function connect(): Link {
  const { port1, port2 } = new MessageChannel();
  const caller = createCaller(port1 as Port);
  const answerer = engine.serve(port2 as Port);
  ends.push(() => answerer.end());
  return { caller, close: async (reason) => caller.close(reason) };
}

async function page(
  sent: SentLoadOptions = options,
  onEvent?: (progress: unknown) => void,
): Promise<BrowserModel & { readonly caller: Caller }> {
  const ended = new Set<() => void>();
  const open = async (): Promise<{ link: Link; description: ModelDescription }> => {
    const link = connect();
    const description = (await link.caller.call("load", [source, sent], { onEvent })) as ModelDescription;
    pages.push({ link, ended });
    return { link, description };
  };
  const { link, description } = await open();
  const model = browserModel({ link, description, ended, relink: async () => (await open()).link, adapterRecord });
  return Object.assign(model, { caller: link.caller });
}

async function inNode<T>(use: (model: FrugalModel) => Promise<T>): Promise<T> {
  await using model = await load(story, { ...(options as object), backend: createReferenceBackend() });
  return await use(model);
}

describe("a model over a port", () => {
  test("writes what it writes without one, greedily and seeded, part by part", async () => {
    const model = await page();
    const asked = [{ maxTokens: 8 }, { maxTokens: 8, temperature: 0.9, seed: 7, logprobs: 2 }];
    for (const given of asked) {
      const run = model.generate(prompt, given);
      const parts = [];
      for await (const part of run) parts.push(part);
      const { timings: _, ...result } = await run;
      const wanted = await inNode(async (own) => {
        const { timings: __, ...rest } = await own.generate(prompt, given);
        return rest;
      });
      expect(given.temperature === undefined ? { ...result, seed: wanted.seed } : result).toEqual(wanted);
      expect(parts).toEqual(wanted.parts);
    }
  });

  test("scores, tokenises and tells about itself as without one", async () => {
    const model = await page();
    await inNode(async (own) => {
      const [tokenizer, ownTokenizer] = [await model.tokenizer(), await own.tokenizer()];
      const ids = await tokenizer.encode(prompt);
      expect(ids).toEqual(ownTokenizer.encode(prompt));
      expect(await tokenizer.decode(ids)).toBe(ownTokenizer.decode(ids));
      expect(tokenizer.endOfGeneration).toEqual(ownTokenizer.endOfGeneration);
      expect(await model.logits(ids, { all: true })).toEqual(await own.logits(ids, { all: true }));
      expect(await model.logprobs(ids, { alternatives: 2 })).toEqual(await own.logprobs(ids, { alternatives: 2 }));
      expect({ ...(await model.inspect()), name: "" }).toEqual({ ...own.inspect(), name: "" });
      expect(model).toMatchObject({ kind: own.kind, family: own.family, contextLength: own.contextLength, backend: own.backend });
      await expect(model.embed("a")).rejects.toMatchObject({ code: "FRUGAL_UNSUPPORTED", fields: { kind: "text" } });
      expect((await model.stats()).steps).toBeGreaterThan(0);
    });
  });

  test("a session goes on, knows its ids, also after an abort, and forgets", async () => {
    const model = await page();
    using session = model.session();
    const first = await session.generate(prompt, { maxTokens: 4 });
    expect(session.ids).toEqual([...first.promptIds, ...first.ids]);
    const second = await session.generate(", there was", { maxTokens: 4 });
    expect(second.timings.cachedTokens).toBeGreaterThan(0);
    expect(session.ids).toEqual([...second.promptIds, ...second.ids]);
    const run = session.generate(" and", { maxTokens: 100, ignoreEnd: true });
    expect(() => session.clear()).toThrow(/still writing/);
    for await (const _ of run) break;
    await expect(run).rejects.toMatchObject({ name: "AbortError" });
    expect(session.ids.length).toBeGreaterThan(second.promptIds.length + second.ids.length);
    session.clear();
    expect((await session.generate(prompt, { maxTokens: 4 })).ids).toEqual(first.ids);
    session.dispose();
    await expect(session.generate("x")).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
  });

  test("errors come as they are, with their fields; what cannot be sent and what is no signal is said", async () => {
    const model = await page();
    await expect(model.generate(prompt, { temprature: 1 } as object)).rejects.toMatchObject({
      code: "FRUGAL_BAD_ARGUMENT",
      fields: { option: "temprature", nearest: "temperature" },
    });
    await expect(model.generate(Array.from({ length: 500 }, () => 5))).rejects.toMatchObject({ code: "FRUGAL_CONTEXT_FULL" });
    await expect(model.generate(prompt, { logitBias: () => 1 } as object)).rejects.toThrow(/cannot be sent to the engine's worker/);
    await expect(model.generate(prompt, { signal: 3 } as object)).rejects.toThrow(/signal is no AbortSignal/);
    await expect(model.logits("no" as never)).rejects.toThrow(/ids are no list of numbers/);
    const broken = await page().catch(() => undefined);
    expect(broken).toBeDefined();
  });

  test("steps are reported until that is over", async () => {
    const model = await page();
    const steps: number[] = [];
    const stop = model.onStep(({ rows }) => steps.push(rows));
    await model.generate(prompt, { maxTokens: 3, ignoreEnd: true });
    await model.stats();
    expect(steps.length).toBeGreaterThanOrEqual(3);
    stop();
    const before = steps.length;
    await model.generate(prompt, { maxTokens: 3 });
    expect(steps.length).toBeLessThanOrEqual(before + 1);
  });
});

describe("ends", () => {
  test("an abort gives the signal's reason, a finished run its result, and leaving a loop ends it", async () => {
    const model = await page();
    const controller = new AbortController();
    const run = model.generate(prompt, { maxTokens: 100, ignoreEnd: true, signal: controller.signal });
    for await (const _ of run) {
      controller.abort(new Error("enough"));
      break;
    }
    await expect(run).rejects.toThrow();
    const aborted = model.generate(prompt, { signal: AbortSignal.abort(new Error("before")) });
    await expect(aborted).rejects.toThrow("before");
    const read: string[] = [];
    for await (const part of model.generate(prompt, { maxTokens: 5 }).toReadableStream()) read.push(part);
    expect(read.join("").length).toBeGreaterThan(0);
    expect((await model.stats()).running).toBe(0);
  });

  test("disposing ends this page's runs, with the reason, and no other's", async () => {
    const [one, other] = [await page(), await page()];
    expect(opened).toBe(1);
    const runs = [one.generate(prompt, { maxTokens: 100, ignoreEnd: true }), other.generate(prompt, { maxTokens: 6 })];
    const settled = Promise.allSettled(runs);
    await one.dispose();
    const [first, second] = await settled;
    expect(first).toMatchObject({ status: "rejected", reason: { code: "FRUGAL_DISPOSED" } });
    expect(second!.status).toBe("fulfilled");
    expect(() => one.generate(prompt)).toThrow(/has been disposed; load it again/);
    await expect(one.stats()).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
    expect(closed).toBe(0);
    await other.dispose();
    await expect.poll(() => closed).toBe(1);
  });

  test("when the engine is gone each run ends once with what is said of it, and the next call loads again", async () => {
    const model = await page({ ...options, adapterSlots: { count: 1, rank: 4 } });
    const { caller } = model;
    using session = model.session();
    await session.generate(prompt, { maxTokens: 2 });
    const outcomes: string[] = [];
    const run = model.generate(prompt, { maxTokens: 100, ignoreEnd: true });
    run.then(
      () => outcomes.push("done"),
      (error: FrugalError) => outcomes.push(error.code),
    );
    for await (const _ of run) {
      const gone = new FrugalError("FRUGAL_ENDED", "engine: gone", { retry: true });
      caller.end(gone);
      pages.forEach(({ ended }) => ended.forEach((tell) => tell()));
      await expect(run).rejects.toBe(gone);
      break;
    }
    expect(outcomes).toEqual(["FRUGAL_ENDED"]);
    await expect(session.generate("x")).rejects.toMatchObject({ code: "FRUGAL_ENDED", fields: { retry: false } });
    expect((await model.generate(prompt, { maxTokens: 2 })).ids).toHaveLength(2);
    expect(outcomes).toHaveLength(1);
  });

  test("a page that vanishes takes its runs and sessions along", async () => {
    const [one, other] = [await page(), await page()];
    void one.generate(prompt, { maxTokens: 100, ignoreEnd: true }).then(undefined, () => undefined);
    await expect.poll(async () => (await other.stats()).running).toBe(1);
    await ends.at(-2)!();
    expect((await other.stats()).running).toBe(0);
  });
});

describe("loading", () => {
  test("pages that ask at once share one model, each with its progress; who asks for another is told", async () => {
    const progress: unknown[] = [];
    const [one, other] = await Promise.all([page(options, (event) => progress.push(event)), page()]);
    expect(opened).toBe(1);
    expect(progress).toContainEqual({ stage: "download", done: 1, total: 2 });
    expect(progress.at(-1)).toMatchObject({ stage: "weights" });
    const texts = await Promise.all([one, other].map((model) => model.generate(prompt, { maxTokens: 4 })));
    expect(texts[0]!.ids).toEqual(texts[1]!.ids);
    await expect(page({ context: 64 })).rejects.toThrow(/the tabs of this group share .*name another group/);
    const refusal = page({ context: 64, hub: { endpoint: "https://hub.test", token: "hf_secret" } });
    await expect(refusal).rejects.toThrow(/hub\.test/);
    await expect(refusal).rejects.not.toThrow(/hf_secret/);
  });

  test("an abort of one that waits leaves the others theirs; of all, ends it", async () => {
    const [one, other] = [connect().caller, connect().caller];
    const controller = new AbortController();
    const first = one.call("load", [source, options], { signal: controller.signal });
    const second = other.call("load", [source, options]);
    controller.abort(new Error("not now"));
    await expect(first).rejects.toThrow("not now");
    expect(await second).toMatchObject({ name: "stories.gguf" });
    other.close(new Error("over"));
    await expect.poll(() => closed).toBe(1);
  });

  test("what does not fit is said with numbers, and the page may ask for less", async () => {
    const { caller } = connect();
    await expect(caller.call("load", [source, { memory: 1000 }])).rejects.toMatchObject({
      code: "FRUGAL_OUT_OF_MEMORY",
      fields: { available: 1000, needed: expect.any(Number) as number },
    });
    expect(closed).toBe(1);
    expect(await caller.call("load", [source, options])).toMatchObject({ contextLength: 128 });
    caller.close(new Error("over"));
  });

  test.each([
    [undefined, /the source is of no known kind/],
    [{ kind: "url", url: 3 }, /the URL is no text/],
    [{ kind: "blobs", name: "x", blobs: new Map([["x", 3]]) }, /the source is of no known kind/],
  ])("source %j is refused", async (given, message) => {
    const { caller } = connect();
    await expect(caller.call("load", [given, {}])).rejects.toThrow(message);
    await expect(caller.call("generate", [prompt])).rejects.toThrow(/has loaded no model/);
    caller.close(new Error("over"));
  });
});

test("a LoRA is tuned and then named by texts", async () => {
  const model = await page({ ...options, adapterSlots: { count: 1, rank: 4 } });
  const examples = [{ prompt: "Once", completion: " more more" }];
  const training = tune(model, [...examples, new Blob([JSON.stringify(examples[0])])], techniques.lora({ rank: 4 }), {
    steps: 2,
    learningRate: 0.02,
  });
  const steps: number[] = [];
  for await (const { step } of training) steps.push(step);
  const { losses, files } = await training;
  expect(steps).toEqual([1, 2]);
  expect(losses.at(-1)).toBeLessThan(losses[0]!);
  expect(await model.adapters.load("more", files!)).toMatchObject({ name: "more", rank: 4 });
  expect(await model.adapters.list()).toMatchObject([{ name: "more" }]);
  const [tuned, plain] = await Promise.all([
    model.generate("Once", { maxTokens: 4, adapter: "more" }),
    model.generate("Once", { maxTokens: 4 }),
  ]);
  expect(tuned.ids).not.toEqual(plain.ids);
  await model.adapters.unload("more");
  await expect(model.generate("Once", { adapter: "more" })).rejects.toMatchObject({ code: "FRUGAL_NOT_FOUND" });
  await expect(tune(model, "rows.jsonl" as never)).rejects.toThrow(/named by a path/);
  await expect(tune(model, examples, techniques.lora(), { out: "x" } as object)).rejects.toThrow(/no option out in a browser/);
});
