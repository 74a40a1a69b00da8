/** Judging of proposals, on a toy whose logits depend on every token that the page tables lead to. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { engineOf, expected, promptOf, type ToyEngine, turn, vocabularySize, write } from "../../testing/toys/toy-engine.ts";
import { toyModel, toyNext } from "../../testing/toys/toy-model.ts";
import type { LoadedModel } from "../backends/backend.ts";
import { pageSize } from "../ops/cache.ts";
import { createEngine } from "./engine.ts";
import { createPages } from "./pages.ts";
import { choose } from "./sampler.ts";
import { sampling } from "./sampling.ts";
import { createSequence } from "./sequence.ts";
import type { StepReport } from "./serving-stats.ts";
import { createSteering } from "./steering.ts";
import type { DecodeStrategy } from "./strategy.ts";

/** Right where `rightAt` says so of the position. */
const proposing = (rightAt: (position: number) => boolean): DecodeStrategy => ({
  propose(tokens, most) {
    const all = [...tokens];
    for (let i = 0; i < most; i++) {
      const next = toyNext(all, vocabularySize);
      all.push(rightAt(all.length) ? next : (next + 1) % vocabularySize);
    }
    return all.slice(tokens.length);
  },
  judged() {},
});
const right = proposing(() => true);
const wrong = proposing(() => false);

describe("proposals", () => {
  test("that are right make a step write several tokens, and are counted", async () => {
    const { engine, model } = engineOf({ outputRows: 8 });
    const reports: StepReport[] = [];
    engine.onStep((report) => reports.push(report));
    const run = write(engine, createSequence(promptOf(10)), 25, { strategy: right });
    await run.done;
    expect(run.written).toEqual(expected(promptOf(10), 25));
    // The prompt's step writes the first token, each of three others its own and seven proposed.
    expect(model.calls.map((call) => call.symbols.T)).toEqual([10, 8, 8, 8]);
    expect(engine.stats()).toMatchObject({ generatedTokens: 25, draftedTokens: 21, acceptedTokens: 21 });
    expect(reports.map(({ decodeRows, draftRows }) => [decodeRows, draftRows])).toEqual([
      [0, 0],
      [1, 7],
      [1, 7],
      [1, 7],
    ]);
  });

  test("that are wrong cost rows and change nothing", async () => {
    const { engine, model } = engineOf();
    const heard: number[][] = [];
    const strategy = { ...wrong, judged: (...counts: number[]) => void heard.push(counts) };
    const run = write(engine, createSequence(promptOf(30)), 12, { strategy });
    await run.done;
    expect(run.written).toEqual(expected(promptOf(30), 12));
    expect(model.calls.length).toBe(12);
    expect(heard).toEqual(Array.from({ length: 11 }, () => [3, 0]));
    engine.expectIdle();
  });

  test("that are more than asked for are cut, also at the context's end", async () => {
    const { engine, model } = engineOf({ context: 40 });
    const strategy: DecodeStrategy = { propose: (tokens) => right.propose(tokens, 30) as number[], judged() {} };
    const run = write(engine, createSequence(promptOf(34)), 7, { strategy });
    await run.done;
    expect(run.written).toEqual(expected(promptOf(34), 7));
    expect(Math.max(...model.calls.slice(1).map((call) => call.symbols.R))).toBe(4);
  });

  test("leave each text its own row", async () => {
    const { engine, model } = engineOf({ outputRows: 5 });
    const runs = [1, 2, 3, 4].map((salt) => write(engine, createSequence(promptOf(5, salt)), 20, { strategy: right }));
    await Promise.all(runs.map((run) => run.done));
    runs.forEach((run, i) => expect(run.written).toEqual(expected(promptOf(5, i + 1), 20)));
    expect(Math.max(...model.calls.map((call) => call.symbols.R))).toBeLessThanOrEqual(5);
  });
});

describe("a strategy with faults ends its own text alone", () => {
  const failing = async (propose: DecodeStrategy["propose"]): Promise<unknown> => {
    const { engine } = engineOf({ outputRows: 12 });
    const good = write(engine, createSequence([1, 2]), 9, { strategy: right });
    const bad = write(engine, createSequence([3]), 9, { strategy: { propose, judged() {} } });
    const outcome = await bad.done.catch((error: unknown) => error);
    await good.done;
    expect(good.written).toEqual(expected([1, 2], 9));
    await turn();
    engine.expectIdle();
    return outcome;
  };
  test("where it throws or rejects", async () => {
    const throws = (): never => {
      throw new Error("lost the draft");
    };
    expect(await failing(throws)).toMatchObject({ message: "lost the draft" });
    expect(await failing(async () => throws())).toMatchObject({ message: "lost the draft" });
  });
  test.each([[[vocabularySize]], [[1, -1]], [[0.5]], [[Number.NaN]], [["1"]], ["none"], [null]])("where it proposes %j", async (ids) => {
    expect(await failing(() => ids as never)).toMatchObject({ code: "FRUGAL_INTERNAL", message: /which is no token; ids go from 0 to 49/ });
  });
  test("a slow one does not hold up an abort", async () => {
    const { engine } = engineOf();
    const controller = new AbortController();
    const never: DecodeStrategy = {
      propose() {
        setTimeout(() => controller.abort(new Error("enough")), 2);
        return new Promise(() => undefined);
      },
      judged() {},
    };
    const stuck = write(engine, createSequence([1]), 9, { strategy: never, signal: controller.signal });
    await expect(stuck.done).rejects.toThrow("enough");
    const next = write(engine, createSequence([2]), 3);
    await next.done;
    expect(next.written).toEqual(expected([2], 3));
    engine.expectIdle();
  });
});

test("whatever is proposed, aborted and thrown out, texts are what they are without", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          length: fc.integer({ min: 1, max: 70 }),
          salt: fc.nat(3),
          count: fc.integer({ min: 1, max: 60 }),
          isRight: fc.array(fc.boolean(), { minLength: 1, maxLength: 9 }),
          abortAfter: fc.option(fc.nat(12), { nil: undefined }),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      fc.constantFrom(undefined, 5, 40),
      fc.integer({ min: 2, max: 12 }),
      async (texts, window, outputRows) => {
        const { engine } = engineOf({
          outputRows,
          sequences: Math.min(4, outputRows),
          cachePages: 7,
          ...(window === undefined ? {} : { window }),
        });
        await Promise.all(
          texts.map(async ({ length, salt, count, isRight, abortAfter }) => {
            const controller = new AbortController();
            if (abortAfter !== undefined) setTimeout(() => controller.abort(new Error("aborted")), abortAfter);
            const strategy = proposing((position) => isRight[position % isRight.length]!);
            const run = write(engine, createSequence(promptOf(length, salt)), count, { strategy, signal: controller.signal });
            const outcome = await run.done.then(
              () => "done",
              (error: Error) => error.message,
            );
            expect(run.written).toEqual(expected(promptOf(length, salt), count).slice(0, run.written.length));
            if (abortAfter === undefined) expect([outcome, run.written.length]).toEqual(["done", count]);
          }),
        );
        await turn();
        engine.expectIdle();
      },
    ),
    { numRuns: 25 },
  );
});

/** A model whose next token never depends on the text: what is drawn from it are so many draws from one distribution. */
function constantModel(logits: readonly number[]): ToyEngine["engine"] {
  const size = logits.length;
  const toy = toyModel({ vocabularySize: size, pageSize, cachePages: 1200 });
  const model: LoadedModel = {
    ...toy,
    run: async ({ symbols: { R } }) => ({
      logits: Float32Array.from({ length: R * size }, (_, i) => logits[i % size]!),
      likeliest: new Int32Array(R).fill(logits.indexOf(Math.max(...logits))),
    }),
  };
  const limits = {
    vocabularySize: size,
    context: 4096,
    rows: 128,
    sequences: 8,
    outputRows: 32,
    queue: Infinity,
    latencyGoal: 50,
    prefixCache: false,
  };
  return createEngine(model, limits, [{ name: "pageTable", window: undefined, pages: createPages(1200) }]);
}

test("20,000 drawn tokens are distributed as the model says, whatever is proposed", async () => {
  const logits = [2, 1.5, 1, 0.5, 0, -0.5, -1, -2];
  const [temperature, perText, texts] = [0.8, 2500, 8];
  const engine = constantModel(logits);
  const counts = new Float64Array(logits.length);
  await Promise.all(
    Array.from({ length: texts }, async (_, seed) => {
      const settled = sampling({ temperature, seed }, logits.length);
      const sequence = createSequence([0]);
      const biased: DecodeStrategy = {
        propose: (tokens, most) => Array.from({ length: most }, (_, i) => ((tokens.length + i) % 3 === 0 ? 7 : 0)),
        judged() {},
      };
      await engine.run({
        sequence,
        readFrom: Infinity,
        strategy: createSteering(engine).steer(biased, "always"),
        read(_, row, likeliest) {
          const { id } = choose(row, settled, sequence.tokens, likeliest);
          counts[id]!++;
          sequence.tokens.push(id);
          return sequence.tokens.length <= perText ? "more" : "done";
        },
      });
    }),
  );
  expect(engine.stats().acceptedTokens).toBeGreaterThan(2000);
  const masses = logits.map((logit) => Math.exp(logit / temperature));
  const total = masses.reduce((sum, mass) => sum + mass, 0);
  const chiSquare = masses.reduce((sum, mass, id) => {
    const wanted = (texts * perText * mass) / total;
    return sum + (counts[id]! - wanted) ** 2 / wanted;
  }, 0);
  // 24.3 is passed with probability 0.001 at seven degrees of freedom.
  expect(chiSquare).toBeLessThan(24.3);
});
