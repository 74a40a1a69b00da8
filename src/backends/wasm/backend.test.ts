/** What the suites of every backend do not see: options, files that are missing or broken, and codes that relaxed SIMD bears only changed. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { symbol } from "../../graph/dim.ts";
import { createBuilder } from "../../ops/builder.ts";
import { FrugalError } from "../../tensor/error.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import { bytesSource } from "../../tensor/source.ts";
import type { Weights } from "../backend.ts";
import { createWasmBackend, type WasmOptions } from "./backend.ts";

const folder = mkdtempSync(join(tmpdir(), "frugal-wasm-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

const [rows, width] = [16, 32];
const graphs = () => {
  const b = createBuilder();
  return {
    main: { outputs: new Map([["y", b.matmul(b.input("x", { shape: [symbol("T"), width], type: "f32" }), b.weight("w", [rows, width]))]]) },
  };
};
/** Rows of Q8_0 whose codes are all `code`. */
function weights(code: number): Weights {
  const bytes = new Uint8Array(rows * 34).fill(code & 255);
  for (let row = 0; row < rows; row++) bytes.set([0x00, 0x3c], row * 34); // a scale of 1
  const tensor = {
    name: "w",
    shape: [rows, width],
    format: formatByName("Q8_0"),
    source: bytesSource("w", bytes),
    offset: 0,
    byteLength: bytes.length,
  };
  return new Map([["w", { shape: [rows, width], content: { rows: [{ tensor, first: 0, count: rows }] } }]]);
}
const caps = { T: 1, S: 1, C: 1, R: 1 };

async function load(options: WasmOptions, code = 3) {
  const made = await createWasmBackend(options);
  if ("reason" in made) throw new Error(made.reason);
  return made.backend.load(graphs(), weights(code), { caps });
}
async function product(options: WasmOptions, code: number): Promise<number> {
  const model = await load(options, code);
  const { y } = await model.run({ program: "main", symbols: caps, inputs: { x: new Float32Array(width).fill(1) } });
  await model.dispose();
  return y![0]!;
}
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe("options", () => {
  test.each<[string, WasmOptions, string]>([
    ["threads of none", { threads: 0 }, "FRUGAL_BAD_ARGUMENT"],
    ["threads without number", { threads: 1025 }, "FRUGAL_BAD_ARGUMENT"],
    ["an unknown kind of SIMD", { simd: "fast" as "relaxed" }, "FRUGAL_BAD_ARGUMENT"],
    ["a module that is not there", { files: { relaxed: join(folder, "none.wasm") } }, "FRUGAL_NOT_FOUND"],
    ["a module that is none", { files: { relaxed: file("broken.wasm", "no module") } }, "FRUGAL_BAD_FILE"],
    ["the other module, where it is wanted", { simd: "baseline", files: { simd: join(folder, "none.wasm") } }, "FRUGAL_NOT_FOUND"],
    ["a thread's script that is not there", { files: { thread: join(folder, "none.js") } }, "FRUGAL_UNSUPPORTED"],
    ["a thread's script that fails", { files: { thread: file("thread.js", "throw new Error('no')") } }, "FRUGAL_UNSUPPORTED"],
  ])("%s is refused", async (_, options, code) => {
    const error = await failure(load(options));
    expect(error).toBeInstanceOf(FrugalError);
    expect((error as FrugalError).code).toBe(code);
  });

  test("are told", async () => {
    const describeOf = async (options: WasmOptions) => {
      const made = await createWasmBackend(options);
      return "backend" in made ? made.backend.description : made.reason;
    };
    expect(await describeOf({ threads: 1 })).toBe("wasm: relaxed SIMD, 1 thread");
    expect(await describeOf({ threads: 3, simd: "baseline" })).toBe("wasm: SIMD, 3 threads");
  });
});

describe("signed bytes", () => {
  test.each(["relaxed", "baseline"] as const)("multiply with their signs, %s", async (simd) => {
    for (const code of [-127, -1, 0, 1, 127]) expect(await product({ threads: 1, simd }, code)).toBeCloseTo(32 * code, 2);
  });

  test("-128 is -127 where a magnitude has 7 bits, and itself elsewhere", async () => {
    expect(await product({ threads: 1, simd: "relaxed" }, -128)).toBeCloseTo(-32 * 127, 2);
    expect(await product({ threads: 1, simd: "baseline" }, -128)).toBeCloseTo(-32 * 128, 2);
  });
});
