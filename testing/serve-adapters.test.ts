/** Texts of many adapters beside each other: each is what a model with its adapter alone would write, to the last bit. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FrugalModel, type GenerateOptions, load, type LoadOptions } from "../src/index.ts";
import { openModel } from "../src/models/index.ts";
import { openCheckpoint } from "../src/models/open-checkpoint.ts";
import type { Numbers } from "../src/techniques/tuning/adapter.ts";
import { normalNumbers } from "../src/techniques/tuning/initial-numbers.ts";
import { writePeftAdapter } from "../src/techniques/tuning/peft-write.ts";

/** One thread: the machine runs other tests beside. */
const threads = 1;
const base = fileURLToPath(new URL("../models/stories/stories.gguf", import.meta.url));
const names = ["a", "b", "c", "d", "e", "f"];
const ranks: Readonly<Record<string, number>> = { a: 4, b: 1, c: 8, d: 4, e: 3, f: 8 };
let folder: string;
const pathOf = (name: string): string => join(folder, name);

/** An adapter that changes what is written; `seed` makes others of the same rank. */
async function writeAdapter(name: string, rank: number, seed: number, targets = /\.(query|key|value|output)$/): Promise<void> {
  const opened = await openCheckpoint(base);
  const model = openModel(opened.checkpoint);
  const weights = new Map<string, Numbers>();
  for (const [linear, { shape }] of model.weights) {
    if (shape.length !== 2 || !targets.test(linear)) continue;
    const [outputs, inputs] = shape as readonly [number, number];
    for (const [own, size] of [
      [`${linear}.loraA`, [rank, inputs]],
      [`${linear}.loraB`, [outputs, rank]],
    ] as const)
      weights.set(own, { shape: size, values: normalNumbers(seed, own, size, own.endsWith("A") ? 0.1 : 0.5) });
  }
  await writePeftAdapter(pathOf(name), model, { config: { type: "LORA", rank, alpha: 2 * rank, taskType: "CAUSAL_LM" }, weights });
  await opened.close();
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "frugal-serve-adapters-"));
  for (const [i, name] of names.entries()) await writeAdapter(name, ranks[name]!, i + 1);
}, 30_000);
afterAll(() => rmSync(folder, { recursive: true }));

const text = "Once upon a time there was a little";
const options: GenerateOptions = { maxTokens: 12, temperature: 0, ignoreEnd: true, logprobs: 1 };
interface Written {
  readonly ids: readonly number[];
  readonly logprobs: readonly (number | undefined)[];
}
const write = async (model: FrugalModel, prompt: string, more: GenerateOptions = {}): Promise<Written> => {
  const { ids, parts } = await model.generate(prompt, { ...options, ...more });
  return { ids, logprobs: parts.map(({ logprob }) => logprob) };
};
/** What models without slots write: by the adapter's name, "" for none. */
async function alone(name: string, prompt: string, more: LoadOptions, maxTokens = 12): Promise<Written> {
  await using model = await load(base, { threads, ...more, ...(name === "" ? {} : { adapter: pathOf(name) }) });
  return await write(model, prompt, { maxTokens });
}
const served = async (more: LoadOptions = {}, count = 4): Promise<FrugalModel> => {
  const model = await load(base, {
    threads,
    context: 128,
    cacheTokens: 1024,
    adapterSlots: { count, rank: 8, targets: "q_proj,k_proj,v_proj,o_proj" },
    ...more,
  });
  for (const name of names) await model.adapters.load(name, pathOf(name));
  return model;
};

describe.each([
  ["native", 12, text],
  ["reference", 2, "Once"],
] as const)("%s", (backend, maxTokens, prompt) => {
  test("a text among others is what a model with its adapter alone writes", async () => {
    const more = { backend, context: 128 };
    const wanted = await Promise.all(["", "a", "b", "c"].map((name) => alone(name, prompt, more, maxTokens)));
    expect(new Set(wanted.map(({ ids }) => ids.join())).size).toBe(4);
    await using model = await served(more);
    const all = ["", "c", "a", "b", "a", "", "b"];
    const found = await Promise.all(all.map((name) => write(model, prompt, { maxTokens, ...(name === "" ? {} : { adapter: name }) })));
    for (const [i, name] of all.entries()) expect(found[i]).toEqual(wanted[["", "a", "b", "c"].indexOf(name)]);
    // And alone, in one piece with what the texts before left in the cache.
    expect(await write(model, prompt, { adapter: "b", maxTokens })).toEqual(wanted[2]);
    expect(await write(model, prompt, { maxTokens })).toEqual(wanted[0]);
  }, 60_000);
});

test("adapters of all linears, a long prompt in pieces, and a cache that is short", async () => {
  await writeAdapter("wide", 5, 77, /\.(query|key|value|output|gate|up|down)$/);
  const prompt = `${text} girl who lived in a house. `.repeat(12);
  const wanted = await alone("wide", prompt, { context: 256, prefixCache: false });
  await using model = await served({ context: 256, cacheTokens: 256, adapterSlots: { count: 2, rank: 8 } });
  await model.adapters.load("wide", pathOf("wide"));
  const found = await Promise.all(["wide", "a", "wide", "b"].map((adapter) => write(model, prompt, { adapter })));
  expect(found[0]).toEqual(wanted);
  expect(found[2]).toEqual(wanted);
}, 60_000);

test("keys and values of one adapter are never another's", async () => {
  await using model = await served();
  const cached = async (more: GenerateOptions): Promise<number> =>
    (await model.generate(text.repeat(8), { ...options, maxTokens: 1, ...more })).timings.cachedTokens;
  expect(await cached({ adapter: "a" })).toBe(0);
  expect(await cached({ adapter: "a" })).toBeGreaterThan(32);
  expect(await cached({ adapter: "b" })).toBe(0);
  expect(await cached({})).toBe(0);
  expect(await cached({ adapter: "a", cacheSalt: "x" })).toBe(0);
  // The same numbers under another name are the same adapter; other numbers under the same name are not.
  await model.adapters.load("again", pathOf("a"));
  expect(await cached({ adapter: "again" })).toBeGreaterThan(32);
  await writeAdapter("changing", 4, 50);
  await model.adapters.load("changing", pathOf("changing"));
  expect(await cached({ adapter: "changing" })).toBe(0);
  const before = await write(model, text, { adapter: "changing" });
  await writeAdapter("changing", 4, 51);
  await model.adapters.load("changing", pathOf("changing"));
  expect(await cached({ adapter: "changing" })).toBe(0);
  const after = await write(model, text, { adapter: "changing" });
  expect(after).toEqual(await alone("changing", text, { context: 128 }));
  expect(after.ids).not.toEqual(before.ids);
});

test("an adapter that is unloaded or loaded anew while texts are written with it", async () => {
  await using model = await served({}, 2);
  const wanted = await write(model, text, { adapter: "c", maxTokens: 60 });
  const running = model.generate(text, { ...options, adapter: "c", maxTokens: 60 });
  await running[Symbol.asyncIterator]().next();
  await writeAdapter("changing", 4, 60);
  await model.adapters.load("c", pathOf("changing"));
  expect((await write(model, text, { adapter: "c" })).ids).not.toEqual(wanted.ids.slice(0, 12));
  await model.adapters.unload("c");
  expect((await running).ids).toEqual(wanted.ids);
  await expect(model.generate(text, { adapter: "c" })).rejects.toMatchObject({ code: "FRUGAL_NOT_FOUND" });
});

test("more adapters than slots: all are served", async () => {
  await using model = await served({ sequences: 3 }, 2);
  const wanted = new Map(await Promise.all(names.map(async (name) => [name, await write(model, text, { adapter: name })] as const)));
  const all = Array.from({ length: 30 }, (_, i) => names[(i * 7) % names.length]!);
  const found = await Promise.all(all.map((adapter) => write(model, text, { adapter })));
  all.forEach((name, i) => expect(found[i]).toEqual(wanted.get(name)));
  expect(model.adapters.list().every(({ users }) => users === 0)).toBe(true);
}, 60_000);

test("whatever is loaded, unloaded and aborted meanwhile, a text is its adapter's", async () => {
  await using model = await served({}, 2);
  const wanted = new Map(
    await Promise.all(
      ["", ...names].map(async (name) => [name, (await write(model, text, name === "" ? {} : { adapter: name })).ids] as const),
    ),
  );
  const event = fc.record({
    what: fc.constantFrom("write", "write", "write", "load", "unload", "abort"),
    name: fc.constantFrom("", ...names),
    tokens: fc.integer({ min: 1, max: 12 }),
    wait: fc.nat(6),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 5, maxLength: 20 }), async (events) => {
      for (const name of names) await model.adapters.load(name, pathOf(name));
      const work: Promise<unknown>[] = [];
      for (const { what, name, tokens, wait } of events) {
        if (what === "load" && name !== "") work.push(model.adapters.load(name, pathOf(name)));
        else if (what === "unload" && name !== "")
          work.push(model.adapters.unload(name).catch((error: unknown) => expect(String(error)).toMatch(/there is no/)));
        else {
          const controller = new AbortController();
          if (what === "abort") setTimeout(() => controller.abort(new Error("enough")), wait);
          const more = name === "" ? {} : { adapter: name };
          const writing = write(model, text, { ...more, maxTokens: tokens, signal: controller.signal });
          work.push(
            writing.then(
              ({ ids }) => expect(ids).toEqual(wanted.get(name)!.slice(0, tokens)),
              (error: unknown) => expect(String(error)).toMatch(/enough|there is no/),
            ),
          );
        }
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
      await Promise.all(work);
    }),
    { numRuns: 8 },
  );
  expect(model.adapters.list().every(({ users }) => users === 0)).toBe(true);
}, 120_000);

test("a session goes on with another adapter", async () => {
  await using model = await served();
  using session = model.session();
  const first = await session.generate(text, { ...options, adapter: "a" });
  const second = await session.generate(" dog", { ...options, adapter: "b" });
  expect(second.timings.cachedTokens).toBe(0);
  const again = await model.generate(
    [...first.promptIds, ...first.ids, ...second.promptIds.slice(first.promptIds.length + first.ids.length)],
    {
      ...options,
      adapter: "b",
    },
  );
  expect(second.ids).toEqual(again.ids);
});

test("wrong use is refused", async () => {
  await using plain = await load(base);
  await expect(plain.generate(text, { adapter: "a" })).rejects.toMatchObject({
    code: "FRUGAL_UNSUPPORTED",
    message: /load it with adapterSlots/,
  });
  await expect(plain.adapters.load("a", pathOf("a"))).rejects.toMatchObject({ code: "FRUGAL_UNSUPPORTED" });
  expect(plain.adapters.list()).toEqual([]);
  const slots = { count: 1, rank: 8 };
  await expect(load(base, { adapter: pathOf("a"), adapterSlots: slots })).rejects.toMatchObject({
    code: "FRUGAL_BAD_ARGUMENT",
    message: /give one/,
  });
  await expect(load(base, { adapterSlots: { ...slots, rank: 0 } })).rejects.toThrow(/rank is 0/);
  await expect(load(base, { memory: "6MB", context: 64, adapterSlots: { count: 64, rank: 64 } })).rejects.toMatchObject({
    code: "FRUGAL_OUT_OF_MEMORY",
  });
  await using model = await load(base, { adapterSlots: slots });
  await expect(model.generate(text, { adapter: 3 as unknown as string })).rejects.toThrow(/adapter is no text/);
  await expect(model.generate(text, { adapter: "a" })).rejects.toThrow(/there is no "a"; none is loaded/);
  await expect(model.adapters.load("x", join(folder, "nowhere"))).rejects.toThrow(/there is no such adapter/);
});
