/** How texts share the cache: beginnings that they have in common, and who makes room. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { engineOf, expected, promptOf, write } from "../../testing/toys/toy-engine.ts";
import { createSequence } from "./sequence.ts";

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
