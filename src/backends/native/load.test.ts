/** The order of loading: weights are packed while programs are made, and whatever goes wrong meanwhile, the core's model is disposed once. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { openFile } from "../../formats/files.ts";
import { symbol, type Symbols } from "../../graph/dim.ts";
import type { Graph } from "../../graph/value.ts";
import { createBuilder } from "../../ops/builder.ts";
import { FrugalError } from "../../tensor/error.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import { bytesSource, type ByteSource } from "../../tensor/source.ts";
import type { LoadOptions, Weight, Weights } from "../backend.ts";
import * as core from "./addon.ts";
import { createNativeBackend, instructionSets } from "./backend.ts";

/** Calls of the core, and ends of packing, in their order. */
const calls: string[] = [];
/** The flag that stops the last packing. */
let cancel = new Int32Array(1);

vi.mock("./addon.ts", async (original) => {
  const real = await original<typeof core>();
  return {
    findAddon: () => {
      const found = real.findAddon();
      if ("reason" in found) return found;
      const heard = Object.entries(found.addon).map(([name, call]: [string, (...args: unknown[]) => unknown]) => [
        name,
        (...args: unknown[]) => {
          calls.push(name);
          const result = call(...args);
          if (name === "fill") {
            cancel = args[4] as typeof cancel;
            void (result as Promise<string>).then(() => calls.push("filled"));
          }
          return result;
        },
      ]);
      return { addon: Object.fromEntries(heard) as core.Addon };
    },
  };
});

const [rows, width] = [4096, 1024];
const caps: Symbols = { T: 4, S: 1, C: 1, R: 1 };
let folder: string;
let file: ByteSource;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "frugal-load-"));
  writeFileSync(join(folder, "weights"), new Uint8Array(4 * rows * width));
  file = await openFile(join(folder, "weights"));
});
afterAll(async () => {
  await file.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => void calls.splice(0));

/** y = norm(x) W */
function graphs(): Readonly<Record<string, Graph>> {
  const b = createBuilder();
  const x = b.input("x", { shape: [symbol("T"), width], type: "f32" });
  const normed = b.rmsNorm(x, b.weight("norm", [width]), { epsilon: 1e-6 });
  return { main: { outputs: new Map([["y", b.matmul(normed, b.weight("w", [rows, width]))]]) } };
}

const stored = (source: ByteSource): Weight => ({
  shape: [rows, width],
  content: {
    rows: [
      {
        tensor: { name: "w", shape: [rows, width], format: formatByName("F32"), source, offset: 0, byteLength: 4 * rows * width },
        first: 0,
        count: rows,
      },
    ],
  },
});
const norm: Weight = { shape: [width], content: { values: async () => new Float32Array(width).fill(1) } };
const given = (more: Record<string, Weight> = {}): Weights => new Map(Object.entries({ norm, w: stored(file), ...more }));

const load = (which: Readonly<Record<string, Graph>>, weights: Weights, options: Partial<LoadOptions> = {}) => {
  const made = createNativeBackend({ threads: 2 });
  if ("reason" in made) throw new Error(made.reason);
  return made.backend.load(which, weights, { caps, ...options });
};

/** What it rejects with; a model that must not be there is given back. */
const failure = async (loading: ReturnType<typeof load>): Promise<unknown> =>
  loading.then(
    (model) => model.dispose().then(() => undefined),
    (error: unknown) => error,
  );
const disposals = (): number => calls.filter((name) => name === "dispose").length;

describe.skipIf("reason" in instructionSets())("loading", () => {
  test("begins to pack before programs are made, and disposes once, when told", async () => {
    const model = await load(graphs(), given());
    const order = (name: string): number => calls.indexOf(name);
    expect(order("addMatrix")).toBeLessThan(order("fill"));
    expect(order("fill")).toBeLessThan(order("addProgram"));
    expect(order("addVector")).toBeGreaterThan(order("fill"));
    expect(order("memory")).toBeGreaterThan(order("filled"));
    expect(model.memory.weights).toBeGreaterThanOrEqual(4 * rows * width + 4 * width);
    const { y } = await model.run({ program: "main", symbols: caps, inputs: { x: new Float32Array(4 * width).fill(1) } });
    expect(y).toEqual(new Float32Array(4 * rows));
    expect(disposals()).toBe(0);
    await Promise.all([model.dispose(), model.dispose()]);
    expect(disposals()).toBe(1);
  });

  test("ends with the signal's reason where it is aborted while weights are packed", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    // Asked for after packing has begun.
    const late: Weight = { shape: [width], content: { values: async () => (controller.abort(reason), new Float32Array(width)) } };
    expect(await failure(load(graphs(), given({ norm: late }), { signal: controller.signal }))).toBe(reason);
    expect(cancel[0]).toBe(1);
    expect(calls.slice(-2)).toEqual(["filled", "dispose"]);
    expect(disposals()).toBe(1);
  });

  test.each<[string, () => Promise<unknown>, string]>([
    [
      "there is no memory to run in",
      async () => failure(load(graphs(), given(), { caps: { ...caps, T: 2 ** 40 } })),
      "FRUGAL_OUT_OF_MEMORY",
    ],
    [
      "other weights cannot be read",
      async () => failure(load(graphs(), given({ norm: { shape: [width], content: { values: async () => new Float32Array(3) } } }))),
      "FRUGAL_SHAPE",
    ],
    ["a weight is missing", async () => failure(load(graphs(), new Map())), "FRUGAL_NOT_FOUND"],
    [
      "the file is gone",
      async () =>
        failure(
          load(graphs(), given({ w: stored({ ...bytesSource("gone", new Uint8Array(4 * rows * width)), path: join(folder, "gone") }) })),
        ),
      "FRUGAL_BAD_FILE",
    ],
  ])("stops packing and disposes once where %s", async (_, attempt, code) => {
    const error = await attempt();
    expect(error).toBeInstanceOf(FrugalError);
    expect((error as FrugalError).code).toBe(code);
    if (calls.includes("fill")) expect(calls.at(-2)).toBe("filled");
    expect(calls.at(-1)).toBe("dispose");
    expect(disposals()).toBe(1);
  });
});
