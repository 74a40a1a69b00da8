/** What only the reference promises; the contract of all backends is in testing/conformance. */
import { expect, it } from "vitest";
import { symbol, type Symbols } from "../../graph/dim.ts";
import type { Graph } from "../../graph/value.ts";
import { createBuilder } from "../../ops/builder.ts";
import { createReferenceBackend } from "./backend.ts";

const caps: Symbols = { T: 96, S: 1, C: 1, R: 1 };

/** Long enough for many turns of the event loop, in ops of a few milliseconds each. */
function longGraph(): Graph {
  const b = createBuilder();
  let x = b.input("x", { shape: [symbol("T"), 96], type: "f32" });
  for (let i = 0; i < 60; i++) x = b.scale(b.matmul(x, x), { by: 0.01 });
  return { outputs: new Map([["y", x]]) };
}
const inputs = { x: new Float32Array(96 * 96).fill(0.5) };

it("lets other work in between ops", async () => {
  const model = await createReferenceBackend().load({ main: longGraph() }, new Map(), { caps });
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await model.run({ program: "main", symbols: caps, inputs });
  clearInterval(timer);
  expect(turns).toBeGreaterThan(3);
  await model.dispose();
});

it("notices an abort on the way, and the next call works", async () => {
  const model = await createReferenceBackend().load({ main: longGraph() }, new Map(), { caps });
  const controller = new AbortController();
  const reason = new Error("enough");
  setTimeout(() => controller.abort(reason), 10);
  const start = performance.now();
  await expect(model.run({ program: "main", symbols: caps, inputs, signal: controller.signal })).rejects.toBe(reason);
  const aborted = performance.now() - start;
  await model.run({ program: "main", symbols: caps, inputs });
  expect(aborted).toBeLessThan(performance.now() - start - aborted);
  await model.dispose();
});

it("uses the arena that was planned, and gives it back", async () => {
  const model = await createReferenceBackend().load({ main: longGraph() }, new Map(), { caps });
  expect(model.memory).toEqual({ weights: 0, arena: 2 * 4 * 96 * 96, cache: 0, arenaFormula: "8·T·T" });
  await model.dispose();
  expect(model.memory.arena).toBe(0);
});

it("says when there is no memory", async () => {
  await expect(createReferenceBackend().load({ main: longGraph() }, new Map(), { caps: { ...caps, T: 2 ** 42 } })).rejects.toMatchObject({
    code: "FRUGAL_OUT_OF_MEMORY",
  });
});
