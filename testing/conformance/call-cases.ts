/** How loads and calls end: results are the caller's, faults are typed errors, aborts reject, dispose ends everything. */
import { describe, expect, it } from "vitest";
import type { LoadedModel, Weights } from "../../src/backends/backend.ts";
import { symbol, type Symbols } from "../../src/graph/dim.ts";
import type { Graph } from "../../src/graph/value.ts";
import { createBuilder } from "../../src/ops/builder.ts";
import type { Implementation } from "./implementation.ts";

const caps: Symbols = { T: 4, S: 1, C: 1, R: 1 };
const symbols: Symbols = { ...caps, T: 2 };
const x = Float32Array.of(1, 2, 3, 4);

function graphs(): Readonly<Record<string, Graph>> {
  const b = createBuilder();
  const input = b.input("x", { shape: [symbol("T"), 2], type: "f32" });
  const ids = b.input("ids", { shape: [symbol("T")], type: "i32" });
  const w = b.weight("w", [3, 2]);
  return {
    main: { outputs: new Map([["y", b.matmul(input, w)]]) },
    deep: { outputs: new Map([["y", b.exp(b.exp(input))]]) },
    root: { outputs: new Map([["y", b.sqrt(input)]]) },
    rows: { outputs: new Map([["y", b.gather(w, ids)]]) },
  };
}

const given = (numbers: Float32Array, shape = [3, 2]): Weights => new Map([["w", { shape, content: { values: async () => numbers } }]]);
const w = Float32Array.of(1, 0, 0, 1, 1, 1);

export function callCases({ create }: Implementation): void {
  const load = async (weights = given(w)): Promise<LoadedModel> => (await create()).load(graphs(), weights, { caps });
  const main = { program: "main", symbols, inputs: { x } } as const;

  describe("calls", () => {
    it("give arrays that are the caller's to keep, one call after the other", async () => {
      const model = await load();
      const runs = await Promise.all([1, 10, 100].map((by) => model.run({ ...main, inputs: { x: x.map((v) => v * by) } })));
      expect(runs.map((outputs) => [...outputs["y"]!])).toEqual([1, 10, 100].map((by) => [1, 2, 3, 3, 4, 7].map((v) => v * by)));
      runs[0]!["y"]!.fill(0);
      expect([...(await model.run(main))["y"]!]).toEqual([1, 2, 3, 3, 4, 7]);
      expect(x).toEqual(Float32Array.of(1, 2, 3, 4));
      await model.dispose();
    });

    it("of any size up to the caps, none included", async () => {
      const model = await load();
      expect((await model.run({ program: "main", symbols: { ...caps, T: 0 }, inputs: { x: new Float32Array(0) } }))["y"]).toEqual(
        new Float32Array(0),
      );
      expect((await model.run({ program: "main", symbols: caps, inputs: { x: new Float32Array(8) } }))["y"]).toEqual(new Float32Array(12));
      await model.dispose();
    });

    it.each([
      ["an unknown program", { ...main, program: "mian" }, "FRUGAL_BAD_ARGUMENT", /main/],
      ["a missing input", { ...main, inputs: {} }, "FRUGAL_BAD_ARGUMENT", /"x"/],
      ["an input of the wrong length", { ...main, inputs: { x: new Float32Array(3) } }, "FRUGAL_BAD_ARGUMENT", /"x".*4.*3/],
      ["an input of the wrong type", { ...main, inputs: { x: new Int32Array(4) } }, "FRUGAL_BAD_ARGUMENT", /Float32Array/],
      [
        "more rows than the cap",
        { ...main, symbols: { ...caps, T: 5 }, inputs: { x: new Float32Array(10) } },
        "FRUGAL_BAD_ARGUMENT",
        /T.*4.*5/,
      ],
      ["a size that is none", { ...main, symbols: { ...caps, T: 1.5 } }, "FRUGAL_BAD_ARGUMENT", /T.*1\.5/],
      ["a result that is not a number", { ...main, program: "root", inputs: { x: Float32Array.of(1, -1, 1, 1) } }, "FRUGAL_NUMERIC", /"y"/],
      ["an id out of range", { program: "rows", symbols, inputs: { ids: Int32Array.of(0, 3) } }, "FRUGAL_BAD_ARGUMENT", /3/],
      ["a negative id", { program: "rows", symbols, inputs: { ids: Int32Array.of(-1, 0) } }, "FRUGAL_BAD_ARGUMENT", /-1/],
    ])("with %s are refused, and the next one works", async (_, call, code, message) => {
      const model = await load();
      const error = await model.run(call).then(
        () => undefined,
        (reason: unknown) => reason as Error,
      );
      expect(error).toMatchObject({ code });
      expect(error!.message).toMatch(message);
      expect([...(await model.run(main))["y"]!]).toEqual([1, 2, 3, 3, 4, 7]);
      await model.dispose();
    });

    it("reject with the signal's reason where they were aborted before or while queued", async () => {
      const model = await load();
      const reason = new Error("enough");
      await expect(model.run({ ...main, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      const controller = new AbortController();
      const first = model.run(main);
      const queued = expect(model.run({ ...main, signal: controller.signal })).rejects.toBe(reason);
      controller.abort(reason);
      await queued;
      expect([...(await first)["y"]!]).toEqual([1, 2, 3, 3, 4, 7]);
      await model.dispose();
    });

    it("under way finish before dispose does, later ones reject", async () => {
      const model = await load();
      const running = model.run(main);
      const disposed = model.dispose();
      await expect(model.run(main)).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
      expect((await running)["y"]).toHaveLength(6);
      await disposed;
      await model.dispose();
      await expect(model.run(main)).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
    });

    it("that give NaN are refused", async () => {
      const model = await load();
      await expect(model.run({ ...main, inputs: { x: x.with(1, Number.NaN) } })).rejects.toMatchObject({ code: "FRUGAL_NUMERIC" });
      await model.dispose();
    });
  });

  describe("loads", () => {
    it.each([
      ["a missing weight", new Map([["v", given(w).get("w")!]]), "FRUGAL_NOT_FOUND"],
      ["a weight of another shape", given(w, [2, 3]), "FRUGAL_SHAPE"],
      ["a weight with too few numbers", given(new Float32Array(5)), "FRUGAL_SHAPE"],
      ["a weight with a NaN", given(w.with(2, Number.NaN)), "FRUGAL_NUMERIC"],
      ["a weight with an infinity", given(w.with(2, -Infinity)), "FRUGAL_NUMERIC"],
    ])("with %s are refused by name", async (_, weights, code) => {
      const error = await load(weights).then(
        () => undefined,
        (reason: unknown) => reason as Error,
      );
      expect(error).toMatchObject({ code });
      expect(error!.message).toContain('"w"');
    });

    it("reject with the signal's reason", async () => {
      const reason = new Error("enough");
      await expect((await create()).load(graphs(), given(w), { caps, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    });

    it("report their memory", async () => {
      const model = await load();
      expect(model.memory.weights).toBeGreaterThan(0);
      expect(model.memory.arenaFormula).toMatch(/·T/);
      await model.dispose();
    });

    it("know themselves", async () => {
      const backend = await create();
      expect(backend.name).toMatch(/^\w+$/);
      expect(backend.description.length).toBeGreaterThan(backend.name.length);
    });
  });
}
