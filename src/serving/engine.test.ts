import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toyModel, toyNext, type ToyOptions } from "../../testing/toys/toy-model.ts";
import { createEngine, type Engine, type EngineLimits } from "./engine.ts";
import { createSequence, replace, type Sequence } from "./sequence.ts";
import { createPages } from "./pages.ts";

const vocabularySize = 50;
const limitsOf = (changes: Partial<EngineLimits> = {}): EngineLimits => ({
  vocabularySize,
  context: 40,
  cachePages: 10,
  pageSize: 4,
  rows: 16,
  sequences: 4,
  outputRows: 4,
  ...changes,
});
const engineOf = (changes: Partial<EngineLimits> = {}, toy: Partial<ToyOptions> = {}) => {
  const limits = limitsOf(changes);
  const model = toyModel({ ...limits, ...toy });
  return { model, engine: createEngine(model, limits), limits };
};

/** Writes `count` tokens, likeliest first; returns those written so far where it is ended. */
function write(
  engine: Engine,
  sequence: Sequence,
  count: number,
  options: { signal?: AbortSignal; keep?: boolean } = {},
): { done: Promise<void>; written: number[] } {
  const written: number[] = [];
  const done = engine.run({
    sequence,
    readFrom: Infinity,
    ...options,
    read(position, logits) {
      if (position !== sequence.tokens.length - 1) return "more";
      const id = logits.indexOf(Math.max(...logits));
      sequence.tokens.push(id);
      written.push(id);
      return written.length < count ? "more" : "done";
    },
  });
  return { done, written };
}

function expected(prompt: readonly number[], count: number): number[] {
  const tokens = [...prompt];
  for (let i = 0; i < count; i++) tokens.push(toyNext(tokens, vocabularySize));
  return tokens.slice(prompt.length);
}

describe("engine", () => {
  test("a prompt longer than a step is read in parts", async () => {
    const { engine, model, limits } = engineOf();
    const prompt = Array.from({ length: 37 }, (_, i) => i % vocabularySize);
    const run = write(engine, createSequence(prompt), 4);
    await run.done;
    expect(run.written).toEqual(expected(prompt, 4));
    expect(model.calls.map((call) => call.symbols.T)).toEqual([16, 16, 5, 1, 1, 1]);
    expect(engine.freePages()).toBe(limits.cachePages);
  });

  test("requests share steps, and more of them than fit are all served", async () => {
    const { engine, model, limits } = engineOf({ cachePages: 10 });
    const prompts = Array.from({ length: 9 }, (_, i) => Array.from({ length: 3 + i }, (_, j) => (7 * i + j) % vocabularySize));
    const runs = prompts.map((prompt) => write(engine, createSequence(prompt), 20));
    await Promise.all(runs.map((run) => run.done));
    runs.forEach((run, i) => expect(run.written).toEqual(expected(prompts[i]!, 20)));
    expect(Math.max(...model.calls.map((call) => call.symbols.S))).toBeGreaterThan(1);
    expect(Math.max(...model.calls.map((call) => call.symbols.S))).toBeLessThanOrEqual(4);
    expect(Math.max(...model.calls.map((call) => call.symbols.T))).toBeLessThanOrEqual(16);
    expect(engine.freePages()).toBe(limits.cachePages);
  });

  test("texts being written go before prompts being read", async () => {
    const { engine, model } = engineOf({ rows: 8 });
    const first = write(engine, createSequence([1]), 12);
    const second = write(engine, createSequence(Array.from({ length: 20 }, (_, i) => i)), 2);
    await Promise.all([first.done, second.done]);
    expect(first.written).toEqual(expected([1], 12));
    // While the long prompt is read, every step also writes a token of the first.
    for (const call of model.calls.filter((c) => c.symbols.T > 2).slice(1)) expect(call.symbols.S).toBe(2);
  });

  test("an abort ends the request at once, cuts its run short and gives its pages back", async () => {
    const { engine, limits } = engineOf({}, { delay: () => 10_000 });
    const controller = new AbortController();
    const run = write(engine, createSequence([1, 2, 3]), 5, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error("enough")), 5);
    await expect(run.done).rejects.toThrow("enough");
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(engine.freePages()).toBe(limits.cachePages);
    await expect(engine.run({ sequence: createSequence([1]), readFrom: 0, read: () => "done", signal: controller.signal })).rejects.toThrow(
      "enough",
    );
  });

  test("a fault ends only the request that causes it", async () => {
    const { engine, limits } = engineOf(
      {},
      { fault: (call) => (call.inputs["tokens"]!.includes(13) ? new Error("NaN in row") : undefined) },
    );
    const good = write(engine, createSequence([1, 2]), 3);
    const bad = write(engine, createSequence([13]), 3);
    await expect(bad.done).rejects.toThrow("NaN in row");
    await good.done;
    expect(good.written).toEqual(expected([1, 2], 3));
    expect(engine.freePages()).toBe(limits.cachePages);
  });

  test("a reader that throws ends its own request", async () => {
    const { engine, limits } = engineOf();
    const sequence = createSequence([1]);
    const failing = engine.run({
      sequence,
      readFrom: 0,
      read() {
        throw new Error("reader");
      },
    });
    await expect(failing).rejects.toThrow("reader");
    expect(engine.freePages()).toBe(limits.cachePages);
  });

  test("kept sequences go on where they were, until their pages are needed", async () => {
    const { engine, model, limits } = engineOf();
    const kept = createSequence([5, 6, 7]);
    await write(engine, kept, 3, { keep: true }).done;
    const before = model.calls.length;
    kept.tokens.push(9);
    const more = write(engine, kept, 2, { keep: true });
    await more.done;
    expect(model.calls[before]!.symbols.T).toBe(2);
    expect(more.written).toEqual(expected(kept.tokens.slice(0, -2), 2));
    expect(engine.freePages()).toBeLessThan(limits.cachePages);
    // Another request needs all pages.
    const large = write(engine, createSequence(Array.from({ length: 38 }, () => 3)), 2);
    await large.done;
    expect(kept.computed).toBe(0);
    expect(engine.freePages()).toBe(limits.cachePages);
    const again = write(engine, kept, 1, { keep: true });
    await again.done;
    expect(again.written).toEqual(expected(kept.tokens.slice(0, -1), 1));
    await engine.forget(kept);
    expect(engine.freePages()).toBe(limits.cachePages);
  });

  test("bad prompts are refused with their numbers", async () => {
    const { engine } = engineOf();
    const run = (tokens: number[]) => write(engine, createSequence(tokens), 1).done;
    await expect(run([])).rejects.toThrow(/no tokens/);
    await expect(run([vocabularySize])).rejects.toThrow(/50 is not a token; ids go from 0 to 49/);
    await expect(run([-1])).rejects.toThrow(/-1 is not a token/);
    await expect(run(new Array<number>(41).fill(1))).rejects.toMatchObject({ code: "FRUGAL_CONTEXT_FULL", message: /41 tokens.*holds 40/ });
  });

  test("dispose fails what runs", async () => {
    const { engine } = engineOf({}, { delay: () => 1000 });
    const run = write(engine, createSequence([1]), 5);
    run.done.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 2));
    await engine.dispose();
    await expect(run.done).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
    await expect(write(engine, createSequence([1]), 1).done).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
  });

  test("every row asked for is read, in order", async () => {
    const { engine } = engineOf();
    const tokens = Array.from({ length: 23 }, (_, i) => (3 * i) % vocabularySize);
    const found: [number, number][] = [];
    await engine.run({
      sequence: createSequence(tokens),
      readFrom: 5,
      read(position, logits) {
        found.push([position, logits.indexOf(Math.max(...logits))]);
        return "done";
      },
    });
    expect(found).toEqual(tokens.map((_, i): [number, number] => [i, toyNext(tokens.slice(0, i + 1), vocabularySize)]).slice(5));
  });
});

test("whatever is asked and aborted, every request ends once, right, and all pages come back", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          prompt: fc.array(fc.nat(vocabularySize - 1), { minLength: 1, maxLength: 30 }),
          count: fc.integer({ min: 1, max: 20 }),
          startAfter: fc.nat(6),
          abortAfter: fc.option(fc.nat(12), { nil: undefined }),
          keep: fc.boolean(),
        }),
        { minLength: 1, maxLength: 8 },
      ),
      async (requests) => {
        const { engine, limits } = engineOf({ context: 50, cachePages: 13 });
        const outcomes = await Promise.all(
          requests.map(async ({ prompt, count, startAfter, abortAfter, keep }) => {
            const controller = new AbortController();
            await new Promise((resolve) => setTimeout(resolve, startAfter));
            if (abortAfter !== undefined) setTimeout(() => controller.abort(new Error("aborted")), abortAfter);
            const sequence = createSequence(prompt);
            const run = write(engine, sequence, count, { signal: controller.signal, keep });
            const outcome = await run.done.then(
              () => "done",
              (error: Error) => error.message,
            );
            expect(run.written).toEqual(expected(prompt, count).slice(0, run.written.length));
            if (outcome === "done") expect(run.written.length).toBe(count);
            return { outcome, sequence };
          }),
        );
        for (const { outcome } of outcomes) expect(["done", "aborted"]).toContain(outcome);
        await new Promise((resolve) => setTimeout(resolve, 3));
        for (const { sequence } of outcomes) await engine.forget(sequence);
        expect(engine.freePages()).toBe(limits.cachePages);
        await engine.dispose();
      },
    ),
    { numRuns: 40 },
  );
});

describe("pages", () => {
  test("are handed out once, shared, and freed by the last holder", () => {
    const pages = createPages(2);
    const [a, b] = [pages.take()!, pages.take()!];
    expect(a).not.toBe(b);
    expect(pages.take()).toBeUndefined();
    pages.share(a);
    pages.giveBack(a);
    expect(pages.free()).toBe(0);
    pages.giveBack(a);
    expect(pages.free()).toBe(1);
    expect(() => pages.giveBack(a)).toThrow(/not held/);
    expect(() => pages.share(a)).toThrow(/not held/);
  });
  test("pages nobody took cost nothing", () => {
    const pages = createPages(2 ** 40);
    const [a, b] = [pages.take(), pages.take()];
    expect([a, b, pages.free()]).toEqual([0, 1, 2 ** 40 - 2]);
    pages.giveBack(a!);
    expect([pages.free(), pages.take()]).toEqual([2 ** 40 - 1, 0]);
  });
  test("replacing tokens keeps what was computed of the common beginning", () => {
    const pages = createPages(8);
    const sequence = createSequence([1, 2, 3, 4, 5, 6]);
    sequence.pages.push(pages.take()!, pages.take()!);
    sequence.computed = 5;
    expect(replace(sequence, [1, 2, 3, 9, 9], 4, pages)).toBe(3);
    expect([sequence.tokens, sequence.computed, sequence.pages.length, pages.free()]).toEqual([[1, 2, 3, 9, 9], 3, 1, 7]);
    // The last token is always computed again.
    expect(replace(sequence, [1, 2, 3], 4, pages)).toBe(2);
  });
});
