import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { engineOf, expected, promptOf, turn, vocabularySize, write } from "../../testing/toys/toy-engine.ts";
import { toyNext } from "../../testing/toys/toy-model.ts";
import { createSequence } from "./sequence.ts";

describe("engine", () => {
  test("a prompt longer than a step is read in parts", async () => {
    const { engine, model } = engineOf();
    const run = write(engine, createSequence(promptOf(300)), 4);
    await run.done;
    expect(run.written).toEqual(expected(promptOf(300), 4));
    expect(model.calls.map((call) => call.symbols.T)).toEqual([128, 128, 44, 1, 1, 1]);
    engine.expectIdle();
  });

  test("requests share steps, and more of them than fit are all served", async () => {
    const { engine, model } = engineOf();
    const prompts = Array.from({ length: 9 }, (_, i) => promptOf(30 + 8 * i, i));
    const runs = prompts.map((prompt) => write(engine, createSequence(prompt), 100));
    await Promise.all(runs.map((run) => run.done));
    runs.forEach((run, i) => expect(run.written).toEqual(expected(prompts[i]!, 100)));
    expect(Math.max(...model.calls.map((call) => call.symbols.S))).toBeGreaterThan(1);
    expect(Math.max(...model.calls.map((call) => call.symbols.S))).toBeLessThanOrEqual(4);
    expect(Math.max(...model.calls.map((call) => call.symbols.T))).toBeLessThanOrEqual(128);
    await turn();
    engine.expectIdle();
  });

  test("texts being written go before prompts being read", async () => {
    const { engine, model } = engineOf({ rows: 8 });
    const first = write(engine, createSequence([1]), 12);
    const second = write(engine, createSequence(promptOf(20)), 2);
    await Promise.all([first.done, second.done]);
    expect(first.written).toEqual(expected([1], 12));
    // While the long prompt is read, every step also writes a token of the first.
    for (const call of model.calls.filter((c) => c.symbols.T > 2).slice(1)) expect(call.symbols.S).toBe(2);
  });

  test("an abort ends the request at once, cuts its run short and gives its pages back", async () => {
    const { engine } = engineOf({ delay: () => 10_000 });
    const controller = new AbortController();
    const run = write(engine, createSequence([1, 2, 3]), 5, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error("enough")), 5);
    await expect(run.done).rejects.toThrow("enough");
    await turn();
    engine.expectIdle();
    const again = write(engine, createSequence([1]), 1, { signal: controller.signal });
    await expect(again.done).rejects.toThrow("enough");
  });

  test("a fault ends only the request that causes it, and leaves nothing to others", async () => {
    const { engine } = engineOf({
      fault: (call) => ((call.inputs["tokens"] as Int32Array).includes(13) ? new Error("NaN in row") : undefined),
    });
    const good = write(engine, createSequence([1, 2]), 3);
    const bad = write(engine, createSequence([13]), 3);
    await expect(bad.done).rejects.toThrow("NaN in row");
    await good.done;
    expect(good.written).toEqual(expected([1, 2], 3));
    expect(engine.stats().pages["pageTable"]!.cached).toBe(1);
    engine.expectIdle();
  });

  test("a reader that throws ends its own request", async () => {
    const { engine } = engineOf();
    const read = (): never => {
      throw new Error("reader");
    };
    await expect(engine.run({ sequence: createSequence([1]), readFrom: 0, read })).rejects.toThrow("reader");
    engine.expectIdle();
  });

  test("bad prompts are refused with their numbers", async () => {
    const { engine } = engineOf();
    const run = (tokens: number[]) => write(engine, createSequence(tokens), 1).done;
    await expect(run([])).rejects.toThrow(/no tokens/);
    await expect(run([vocabularySize])).rejects.toThrow(/50 is not a token; ids go from 0 to 49/);
    await expect(run([-1])).rejects.toThrow(/-1 is not a token/);
    await expect(run(promptOf(321))).rejects.toMatchObject({ code: "FRUGAL_CONTEXT_FULL", message: /321 tokens.*holds 320/ });
  });

  test("dispose fails what runs", async () => {
    const { engine } = engineOf({ delay: () => 1000 });
    const run = write(engine, createSequence([1]), 5);
    run.done.catch(() => undefined);
    await turn();
    await engine.dispose();
    await expect(run.done).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
    await expect(write(engine, createSequence([1]), 1).done).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
  });

  test("every row asked for is read, in order", async () => {
    const { engine } = engineOf();
    const tokens = promptOf(23);
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

  test("a full queue refuses, saying when to come back", async () => {
    const { engine } = engineOf({ sequences: 1, queue: 1, delay: () => 1 });
    const runs = [0, 1].map((salt) => write(engine, createSequence(promptOf(4, salt)), 3).done);
    await expect(write(engine, createSequence([1]), 1).done).rejects.toMatchObject({
      code: "FRUGAL_BUSY",
      fields: { retryAfterSeconds: 1 },
    });
    expect(engine.stats()).toMatchObject({ waiting: 2, queueLimit: 1 });
    await Promise.all(runs);
    await write(engine, createSequence([1]), 1).done;
  });
});

describe("proposed tokens", () => {
  const strategy = (guess: (tokens: readonly number[]) => number[]) => {
    const judged: [number, number][] = [];
    return {
      judged,
      strategy: {
        propose: (tokens: readonly number[], most: number) => guess(tokens).slice(0, most),
        judged: (a: number, b: number) => void judged.push([a, b]),
      },
    };
  };
  test("that are right save steps", async () => {
    const { engine, model } = engineOf();
    const { strategy: right, judged } = strategy((tokens) => expected(tokens, 3));
    const run = write(engine, createSequence([1, 2]), 9, { strategy: right });
    await run.done;
    expect(run.written).toEqual(expected([1, 2], 9));
    expect(model.calls.length).toBeLessThanOrEqual(4);
    expect(judged.every(([proposed, accepted]) => proposed === accepted || proposed === 3)).toBe(true);
    expect(engine.stats().acceptedTokens).toBeGreaterThanOrEqual(6);
    engine.expectIdle();
  });
  test("that are wrong change nothing", async () => {
    const { engine } = engineOf();
    const { strategy: wrong } = strategy((tokens) => [expected(tokens, 1)[0]!, (expected(tokens, 2)[1]! + 1) % vocabularySize, 99, 4]);
    const runs = [1, 5].map((token) => write(engine, createSequence([token, 2]), 40, { strategy: wrong }));
    await Promise.all(runs.map((run) => run.done));
    runs.forEach((run, i) => expect(run.written).toEqual(expected([[1, 5][i]!, 2], 40)));
    const following = createSequence([1, 2, ...runs[0]!.written.slice(0, 30), 8, 8]);
    const more = write(engine, following, 3);
    await more.done;
    expect(following.cached).toBe(32);
    expect(more.written).toEqual(expected(following.tokens.slice(0, 34), 3));
  });
  test("a strategy that fails ends its own text", async () => {
    const { engine } = engineOf();
    const failing = { propose: () => Promise.reject(new Error("strategy")), judged: () => undefined };
    const bad = write(engine, createSequence([1]), 5, { strategy: failing });
    const good = write(engine, createSequence([2]), 5);
    await expect(bad.done).rejects.toThrow("strategy");
    await good.done;
    engine.expectIdle();
  });
});

test("whatever is asked and aborted, every request ends once, right, and all pages come back", async () => {
  const directory = await mkdtemp(join(tmpdir(), "frugal-spill-"));
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          prompt: fc.record({ length: fc.integer({ min: 1, max: 200 }), salt: fc.nat(2), fork: fc.nat(200) }),
          count: fc.integer({ min: 1, max: 60 }),
          startAfter: fc.nat(6),
          abortAfter: fc.option(fc.nat(12), { nil: undefined }),
          namespace: fc.constantFrom("", "other"),
          proposes: fc.boolean(),
        }),
        { minLength: 1, maxLength: 8 },
      ),
      fc.constantFrom(undefined, 40, 100),
      fc.boolean(),
      fc.integer({ min: 9, max: 20 }),
      async (requests, window, spills, cachePages) => {
        const setting = { context: 280, cachePages, ...(window === undefined ? {} : { window }), ...(spills ? { spill: directory } : {}) };
        const { engine } = engineOf(setting);
        await Promise.all(
          requests.map(async ({ prompt: { length, salt, fork }, count, startAfter, abortAfter, namespace, proposes }) => {
            const prompt = promptOf(length, salt).map((id, i) => (i >= fork ? (id + fork) % vocabularySize : id));
            const controller = new AbortController();
            await new Promise((resolve) => setTimeout(resolve, startAfter));
            if (abortAfter !== undefined) setTimeout(() => controller.abort(new Error("aborted")), abortAfter);
            const guess = (tokens: readonly number[]): number[] => [...expected(tokens, 2), 1];
            const strategy = proposes ? { propose: guess, judged: () => undefined } : undefined;
            const run = write(engine, createSequence(prompt), count, { signal: controller.signal, namespace, strategy });
            const outcome = await run.done.then(
              () => "done",
              (error: Error) => error.message,
            );
            expect(["done", "aborted"]).toContain(outcome);
            expect(run.written).toEqual(expected(prompt, count).slice(0, run.written.length));
            if (outcome === "done") expect(run.written.length).toBe(count);
          }),
        );
        await turn();
        engine.expectIdle();
        await engine.dispose();
      },
    ),
    { numRuns: 60 },
  );
  await rm(directory, { recursive: true });
});
