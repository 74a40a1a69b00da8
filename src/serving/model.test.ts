/** A model as people use it, on a tiny checkpoint and the reference backend. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCases } from "../../testing/families.ts";
import { sharedData } from "../../testing/shared.ts";
import type { FrugalError } from "../tensor/error.ts";
import { type FrugalModel, load } from "./model.ts";

const families = fileURLToPath(new URL("../../testing/fixtures/families/", import.meta.url));
const open = (name: string, options: Parameters<typeof load>[1] = {}): Promise<FrugalModel> =>
  load(families + name, { backend: "reference", ...options });
const codeOf = (work: PromiseLike<unknown>): Promise<string> =>
  Promise.resolve(work).then(
    () => "done",
    (error: FrugalError) => (typeof error.code === "string" ? error.code : error.name),
  );

let model: FrugalModel;
let continuation: { readonly prompt: number[]; readonly ids: number[] };
beforeAll(async () => {
  model = await open("llama-3", { cache: "F32" });
  const cases = await readCases("llama-3");
  continuation = { prompt: [...cases.get("long.input_ids")!], ids: [...cases.get("long.continuation")!] };
});
afterAll(() => model.dispose());

describe("arguments that make no sense", () => {
  const nonsense = (value: unknown): never => value as never;
  test.each<[string, () => PromiseLike<unknown>, RegExp]>([
    ["no prompt", () => model.generate(nonsense(null)), /neither text, nor token ids/],
    ["no prompt in a session", () => model.session().generate(nonsense(undefined)), /neither text, nor token ids/],
    ["options", () => model.generate("the", nonsense(null)), /the options are null/],
    ["a session's options", () => model.session().generate("the", nonsense(null)), /the options are null/],
    ["a signal", () => model.generate("the", { signal: nonsense({}) }), /signal is no AbortSignal/],
    ["a stop", () => model.generate("the", { stop: nonsense(5) }), /stop is neither a string nor a list/],
    ["an empty stop", () => model.generate("the", { stop: [""] }), /stop holds an empty string/],
    ["ids that end", () => model.generate("the", { stopIds: [131] }), /stopIds is no list of token ids; ids go from 0 to 130/],
    ["variables", () => model.generate("the", { templateVariables: nonsense(5) }), /templateVariables is no object/],
    ["a message without content", () => model.chat([{ role: "user" }]), /message 0 has no content/],
    ["a role", () => model.chat([{ role: "usr", content: "the" }]), /did you mean "user"/],
    ["ids", () => model.logits(nonsense(null)), /ids are no list of numbers/],
    ["an id", () => model.logits([1, 131]), /131 is not a token/],
    ["texts", () => model.embed(nonsense([5])), /texts are neither a string nor a list/],
    ["no model", () => load(nonsense(null)), /no model is named/],
    ["an empty name", () => load(""), /no model is named/],
  ])("%s: refused with a word", async (_, call, message) => {
    const refused = (async () => call())();
    await expect(refused).rejects.toMatchObject({ code: "FRUGAL_BAD_ARGUMENT", message: expect.stringMatching(message) as string });
  });
});

describe("generate", () => {
  test("writes what the original writes, alone and among others", async () => {
    const options = { maxTokens: continuation.ids.length, ignoreEnd: true };
    const alone = await model.generate(continuation.prompt, options);
    expect(alone.ids).toEqual(continuation.ids);
    expect(alone.finishReason).toBe("length");
    const [again, ...others] = await Promise.all(
      [continuation.prompt, [1, 2], [7], [9, 9, 9]].map((prompt) => model.generate(prompt, options)),
    );
    expect(again!.ids).toEqual(continuation.ids);
    for (const other of others) expect(other.ids).not.toEqual(continuation.ids);
  });

  test("gives parts as they come, a whole result, and a stream: all the same text", async () => {
    const run = model.generate("the", { maxTokens: 6, temperature: 1, seed: 5, logprobs: 2 });
    const parts = [];
    for await (const part of run) parts.push(part);
    const result = await run;
    expect(parts).toEqual(result.parts);
    expect(result.text).toBe(parts.map(({ text }) => text).join(""));
    expect(result.ids).toEqual(parts.map(({ id }) => id));
    for (const part of parts) {
      expect(part.logprob).toBeLessThan(0);
      expect(part.alternatives).toHaveLength(2);
    }
    let streamed = "";
    for await (const text of model.generate("the", { maxTokens: 6, temperature: 1, seed: 5 }).toReadableStream()) streamed += text;
    expect(streamed).toBe(result.text);
    expect(result.timings.timeToFirstToken).toBeGreaterThan(0);
  });

  test("the text plus the prompt's is the tokenizer's text of all ids", async () => {
    const tokenizer = await model.tokenizer();
    const { promptIds, ids, text } = await model.generate("the", { maxTokens: 8, temperature: 1.5, seed: 2, ignoreEnd: true });
    expect(tokenizer.decode(promptIds, { skipSpecial: true }) + text).toBe(tokenizer.decode([...promptIds, ...ids], { skipSpecial: true }));
  });

  test("stop strings end the text and are no part of it", async () => {
    const whole = await model.generate("the", { maxTokens: 12, ignoreEnd: true });
    const stop = whole.text.slice(3, 6);
    const stopped = await model.generate("the", { maxTokens: 12, ignoreEnd: true, stop: ["never there", stop] });
    expect(stopped.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)));
    expect(stopped).toMatchObject({ finishReason: "stop", stop });
    expect(whole.ids.slice(0, stopped.ids.length)).toEqual(stopped.ids);
  });

  test("ids that end a text do, and are listed", async () => {
    const whole = await model.generate("the", { maxTokens: 6, ignoreEnd: true });
    const ended = await model.generate("the", { maxTokens: 6, ignoreEnd: true, stopIds: [whole.ids[2]!] });
    expect(ended.ids).toEqual(whole.ids.slice(0, whole.ids.indexOf(whole.ids[2]!) + 1));
    expect(ended.finishReason).toBe("stop");
  });

  test("a full context ends the text; a prompt beyond it is refused", async () => {
    await using small = await open("llama-3", { context: 10 });
    const result = await small.generate([1, 2, 3, 4, 5, 6, 7], { ignoreEnd: true });
    expect(result.finishReason).toBe("length");
    expect(result.ids.length).toBe(4);
    expect(await codeOf(small.generate(new Array<number>(11).fill(1)))).toBe("FRUGAL_CONTEXT_FULL");
    expect((await small.generate(new Array<number>(10).fill(1), { maxTokens: 5, ignoreEnd: true })).ids.length).toBe(1);
    expect((await small.generate([1], { maxTokens: 0 })).ids).toEqual([]);
  });

  test("an abort rejects with its reason, leaving the loop stops the writing", async () => {
    const controller = new AbortController();
    const run = model.generate("the", { signal: controller.signal, ignoreEnd: true });
    let seen = 0;
    const loop = (async () => {
      for await (const part of run) if (++seen === 3 && part) controller.abort(new Error("enough"));
    })();
    await expect(loop).rejects.toThrow("enough");
    await expect(run).rejects.toThrow("enough");
    const left = model.generate("the", { ignoreEnd: true });
    for await (const part of left) if (part) break;
    expect(await codeOf(left)).toBe("AbortError");
    expect(await codeOf(model.generate("the", { signal: AbortSignal.abort() }))).toBe("AbortError");
  });

  test("what is wrong is named", async () => {
    await expect(model.generate("the", { temprature: 1 } as object)).rejects.toThrow(
      'unknown option "temprature"; did you mean temperature?',
    );
    await expect(model.generate("the", { maxTokens: 1.5 })).rejects.toThrow(/maxTokens is 1.5/);
    await expect(model.generate("the", { stop: "" })).rejects.toThrow(/empty string/);
    await expect(model.generate([{ text: "x" }] as never)).rejects.toThrow(/neither text, nor token ids, nor messages/);
    await expect(load(families + "llama-3", { contxt: 3 } as object)).rejects.toThrow("did you mean context?");
    await expect(open("llama-3", { backend: "natve" as "native" })).rejects.toThrow("did you mean native?");
    await expect(open("llama-3", { cache: "Q4" as "F16" })).rejects.toThrow(/it may be F32, F16, Q8_0, Q4_0/);
    await expect(open("llama-3", { memory: "lots" })).rejects.toThrow(/write it like 512MB/);
    expect(await codeOf(open("llama-3", { memory: "1kB" }))).toBe("FRUGAL_OUT_OF_MEMORY");
    expect(await codeOf(open("llama-3", { signal: AbortSignal.abort() }))).toBe("AbortError");
    expect(await codeOf(model.embed("the"))).toBe("FRUGAL_UNSUPPORTED");
  });
});

describe("session", () => {
  test("goes on where it was and computes only what is new", async () => {
    await using session = model.session();
    const first = await session.generate([5, 6, 7], { maxTokens: 3, ignoreEnd: true });
    const second = await session.generate([9, 8], { maxTokens: 3, ignoreEnd: true });
    expect(second.promptIds).toEqual([5, 6, 7, ...first.ids, 9, 8]);
    expect(second.timings.cachedTokens).toBe(5);
    const whole = await model.generate(second.promptIds, { maxTokens: 3, ignoreEnd: true });
    expect(second.ids).toEqual(whole.ids);
    expect(session.ids).toEqual([...second.promptIds, ...second.ids]);
    await session.clear();
    expect(session.ids).toEqual([]);
  });

  test("a conversation keeps what it has in common with the last one", async () => {
    await using session = model.session();
    const question = { role: "user", content: "the" };
    const reply = await session.chat([question], { maxTokens: 4 });
    const next = await session.chat([question, { role: "assistant", content: reply.text }, question], { maxTokens: 4 });
    expect(next.timings.cachedTokens).toBeGreaterThan(0);
    const alone = await model.chat([question, { role: "assistant", content: reply.text }, question], { maxTokens: 4 });
    expect(next.promptIds).toEqual(alone.promptIds);
    expect(next.ids).toEqual(alone.ids);
  });

  test("one call at a time; a prompt too long leaves it as it was; a stopped reply stays", async () => {
    await using session = model.session();
    const writing = session.generate([1, 2], { maxTokens: 5, ignoreEnd: true });
    await expect(session.generate([3])).rejects.toThrow(/still writing/);
    await writing;
    const before = session.ids;
    expect(await codeOf(session.generate(new Array<number>(100_000).fill(1)))).toBe("FRUGAL_CONTEXT_FULL");
    expect(session.ids).toEqual(before);
    const stopped = session.generate([3], { ignoreEnd: true });
    for await (const part of stopped) if (part) break;
    await codeOf(stopped);
    expect(session.ids.length).toBeGreaterThan(before.length + 1);
    const more = await session.generate([4], { maxTokens: 2, ignoreEnd: true });
    expect(more.ids).toEqual((await model.generate(more.promptIds, { maxTokens: 2, ignoreEnd: true })).ids);
  });
});

describe("encoders, logits, dispose", () => {
  test("embed gives the original's vectors, one or many at once", async () => {
    await using encoder = await open("bert", { sequences: 2 });
    const texts = ["the cat", "a dog sat", "on the mat", "the"];
    const together = await encoder.embed(texts);
    for (const [i, text] of texts.entries()) expect((await encoder.embed(text))[0]).toEqual(together[i]);
    const [unit] = await encoder.embed("the cat", { normalize: true });
    expect(Math.hypot(...unit!)).toBeCloseTo(1, 5);
    const long = "the cat ".repeat(2000);
    expect(await codeOf(encoder.embed(long))).toBe("FRUGAL_CONTEXT_FULL");
    expect((await encoder.embed(long, { truncate: true }))[0]!.length).toBe(32);
    expect(() => encoder.generate("the")).toThrow(/is an encoder/);
  });

  test("logits of the last id, or of each", async () => {
    const all = await model.logits([3, 4, 5], { all: true });
    expect(all.length).toBe(3);
    expect(await model.logits([3, 4, 5])).toEqual([all[2]]);
    expect(await model.logits([3, 4])).toEqual([all[1]]);
  });

  test("dispose ends what runs, and everything after it fails", async () => {
    const own = await open("llama-3");
    const session = own.session();
    const writing = own.generate("the", { ignoreEnd: true });
    const inSession = session.generate("the", { ignoreEnd: true });
    await Promise.all([own.dispose(), own.dispose()]);
    expect(await codeOf(writing)).toBe("FRUGAL_DISPOSED");
    expect(await codeOf(inSession)).toBe("FRUGAL_DISPOSED");
    expect(() => own.generate("the")).toThrow(/has been disposed/);
    expect(() => own.session()).toThrow(/has been disposed/);
    expect(() => own.inspect()).toThrow(/has been disposed/);
    expect(await codeOf(session.generate("the"))).toBe("FRUGAL_DISPOSED");
    expect(await codeOf(own.logits([1]))).toBe("FRUGAL_DISPOSED");
    expect(await codeOf(own.embed("the"))).toBe("FRUGAL_DISPOSED");
  });

  test("memory limits the context", async () => {
    const { weights, arena } = model.inspect().memory!;
    await using limited = await open("llama-3", { memory: weights + 10 * arena, sequences: 1 });
    expect(limited.contextLength).toBeLessThanOrEqual(model.contextLength);
    const { memory } = limited.inspect();
    expect(memory!.weights + memory!.arena + memory!.cache).toBeLessThanOrEqual(weights + 10 * arena);
  });
});

const stories = sharedData("checkpoints/stories260K");
test.skipIf(stories.skip)("stories260K writes its published text", async () => {
  await using story = await load(`${stories.path}/stories260K.bin`, { backend: "reference" });
  const { text } = await story.generate("", { maxTokens: 40 });
  expect(text).toMatch(/^Once upon a time, there was a little girl named Lily\. She loved to play outside in the park/);
});
