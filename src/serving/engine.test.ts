import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toyModel, toyNext, type ToyOptions } from "../../testing/toys/toy-model.ts";
import { pageSize } from "../ops/cache.ts";
import { createEngine, type Engine, type EngineLimits, type Request } from "./engine.ts";
import type { PageTable } from "./page-tables.ts";
import { createPages } from "./pages.ts";
import { createSequence, type Sequence } from "./sequence.ts";
import { createSpillStore } from "./spill.ts";

const vocabularySize = 50;
interface Setting extends Partial<EngineLimits>, Partial<ToyOptions> {
  readonly spill?: string;
}
function engineOf({ delay, fault, window, cachePages = 10, spill, ...changes }: Setting = {}) {
  const limits: EngineLimits = {
    vocabularySize,
    context: 320,
    rows: 128,
    sequences: 4,
    outputRows: 4,
    queue: Infinity,
    latencyGoal: 50,
    prefixCache: true,
    ...changes,
  };
  const given = { delay, fault, window };
  const toy = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const model = toyModel({ vocabularySize, pageSize, cachePages, ...toy });
  const tables: PageTable[] = [{ name: "pageTable", window: undefined, pages: createPages(cachePages) }];
  if (window !== undefined) tables.push({ name: `pageTable.${window}`, window, pages: createPages(cachePages) });
  const engine = createEngine(model, limits, tables, spill === undefined ? undefined : createSpillStore(spill));
  return { model, engine, limits, tables };
}

/** Writes `count` tokens, likeliest first; returns those written so far where it is ended. */
function write(
  engine: Engine,
  sequence: Sequence,
  count: number,
  options: Partial<Request> = {},
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

const promptOf = (length: number, salt = 0): number[] => Array.from({ length }, (_, i) => (i * 7 + salt) % vocabularySize);
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 3));

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

describe("prefixes", () => {
  test("of earlier texts are not computed again, to the token, whatever text follows", async () => {
    const { engine, model } = engineOf();
    const prompt = promptOf(100);
    await write(engine, createSequence(prompt), 5).done;
    const before = model.calls.length;
    const other = [...prompt.slice(0, 75), 3, 3, 3, 3, 3];
    const sequence = createSequence(other);
    const run = write(engine, sequence, 4);
    await run.done;
    expect(run.written).toEqual(expected(other, 4));
    expect(sequence.cached).toBe(75);
    expect(model.calls[before]!.symbols.T).toBe(5);
    // The last token is computed in any case: its logits are wanted.
    const again = createSequence(prompt);
    await write(engine, again, 2).done;
    expect(again.cached).toBe(99);
    expect(engine.stats()).toMatchObject({ promptTokens: 280, cachedTokens: 174 });
    engine.expectIdle();
  });

  test("what was written counts too, and goes on within its page", async () => {
    const { engine } = engineOf();
    const first = createSequence(promptOf(40));
    await write(engine, first, 10).done;
    const second = createSequence([...first.tokens, 1, 2]);
    const run = write(engine, second, 3);
    await run.done;
    expect(second.cached).toBe(49);
    expect(run.written).toEqual(expected(second.tokens.slice(0, 52), 3));
  });

  test("texts of other namespaces, and texts that don't want it, share nothing", async () => {
    const { engine } = engineOf();
    await write(engine, createSequence(promptOf(64)), 1, { namespace: "a" }).done;
    for (const options of [{ namespace: "b" }, {}, { namespace: "a", reuses: false }]) {
      const sequence = createSequence(promptOf(64));
      await write(engine, sequence, 1, options).done;
      expect(sequence.cached).toBe(0);
    }
    const same = createSequence(promptOf(64));
    await write(engine, same, 1, { namespace: "a" }).done;
    expect(same.cached).toBe(63);
    const off = engineOf({ prefixCache: false }).engine;
    for (let i = 0; i < 2; i++) {
      const sequence = createSequence(promptOf(64));
      await write(off, sequence, 1).done;
      expect(sequence.cached).toBe(0);
    }
    expect(off.stats().pages["pageTable"]!.free).toBe(10);
  });

  test("texts asked for together compute their common beginning once, and keep it once", async () => {
    const { engine } = engineOf({ rows: 64 });
    const prompt = promptOf(128);
    const sequences = Array.from({ length: 4 }, (_, i) => createSequence([...prompt, i]));
    const runs = sequences.map((sequence) => write(engine, sequence, 2));
    await Promise.all(runs.map((run) => run.done));
    runs.forEach((run, i) => expect(run.written).toEqual(expected([...prompt, i], 2)));
    expect(sequences.map(({ cached }) => cached)).toEqual([0, 128, 128, 128]);
    // Four whole pages once, and a page for each end.
    expect(engine.stats().pages["pageTable"]!.cached).toBe(8);
    engine.expectIdle();
  });

  test("give way, longest unused first, when others need the pages", async () => {
    const { engine } = engineOf();
    for (let salt = 0; salt < 3; salt++) await write(engine, createSequence(promptOf(90, salt)), 1).done;
    await write(engine, createSequence(promptOf(90, 0)), 1).done;
    await write(engine, createSequence(promptOf(90, 5)), 1).done;
    const cached = async (salt: number): Promise<number> => {
      const sequence = createSequence(promptOf(90, salt));
      await write(engine, sequence, 1).done;
      return sequence.cached;
    };
    expect(await cached(0)).toBe(89);
    expect(engine.stats().evictedPrefixes).toBeGreaterThan(0);
    engine.expectIdle();
  });

  test("of layers with a window are used where the window is still there", async () => {
    const { engine, tables } = engineOf({ window: 40 });
    const prompt = promptOf(200);
    await write(engine, createSequence(prompt), 2).done;
    const same = createSequence([...prompt.slice(0, 150), 1]);
    const run = write(engine, same, 3);
    await run.done;
    expect(same.cached).toBe(150);
    expect(run.written).toEqual(expected([...prompt.slice(0, 150), 1], 3));
    // A text that runs holds of such a table no more than its window and what a step writes.
    const long = createSequence(promptOf(60, 9));
    let most = 0;
    const watched = write(engine, long, 150, { begun: () => undefined });
    engine.onStep(() => (most = Math.max(most, (long.pages[1] ?? []).filter((page) => page >= 0).length)));
    await watched.done;
    expect(watched.written).toEqual(expected(promptOf(60, 9), 150));
    expect(most).toBeLessThanOrEqual(4);
    expect(tables[1]!.pages.total).toBe(10);
    engine.expectIdle();
  });
});

describe("pressure", () => {
  test("texts that make room go on from disk, and leave nothing there", async () => {
    const directory = await mkdtemp(join(tmpdir(), "frugal-spill-"));
    try {
      const { engine, model } = engineOf({ cachePages: 6, context: 160, spill: directory, prefixCache: false });
      const prompts = [0, 1, 2].map((salt) => promptOf(40, salt));
      const runs = prompts.map((prompt) => write(engine, createSequence(prompt), 100));
      await Promise.all(runs.map((run) => run.done));
      runs.forEach((run, i) => expect(run.written).toEqual(expected(prompts[i]!, 100)));
      expect(engine.stats().spilledPages).toBeGreaterThan(0);
      // Nothing was computed twice.
      expect(model.calls.reduce((sum, call) => sum + call.symbols.T, 0)).toBe(3 * 139);
      engine.expectIdle();
      for (const name of await readdir(directory)) expect(await readdir(join(directory, name))).toEqual([]);
      await engine.dispose();
      expect(await readdir(directory)).toEqual([]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test("without a disk they are computed again", async () => {
    const { engine, model } = engineOf({ cachePages: 6, context: 160, prefixCache: false });
    const prompts = [0, 1, 2].map((salt) => promptOf(40, salt));
    const runs = prompts.map((prompt) => write(engine, createSequence(prompt), 100));
    await Promise.all(runs.map((run) => run.done));
    runs.forEach((run, i) => expect(run.written).toEqual(expected(prompts[i]!, 100)));
    expect(engine.stats().preemptions).toBeGreaterThan(0);
    expect(model.calls.reduce((sum, call) => sum + call.symbols.T, 0)).toBeGreaterThan(3 * 139);
    engine.expectIdle();
  });

  test("lower priorities go first, tenants get equal shares", async () => {
    const { engine } = engineOf({ sequences: 1 });
    const order: string[] = [];
    const run = (name: string, tenant: string, priority = 0): Promise<void> =>
      write(engine, createSequence(promptOf(20, order.length + name.length)), 10, { tenant, priority, begun: () => order.push(name) }).done;
    await Promise.all([run("a1", "a"), run("a2", "a"), run("a3", "a"), run("b1", "b"), run("urgent", "b", -1)]);
    expect(order).toEqual(["urgent", "a1", "a2", "b1", "a3"]);
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

describe("pages", () => {
  test("are handed out once, shared, and freed by the last holder", () => {
    const pages = createPages(2);
    const [a, b] = [pages.take()!, pages.take()!];
    expect(a).not.toBe(b);
    expect(pages.take()).toBeUndefined();
    pages.share(a);
    expect(pages.holders(a)).toBe(2);
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
});
