/** What a model held is the system's again after `dispose`, also while the disposed model is still referred to. */
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { symbol } from "../../graph/dim.ts";
import { createBuilder } from "../../ops/builder.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import type { ByteSource } from "../../tensor/source.ts";
import type { LoadedModel, Weights } from "../backend.ts";
import { createWasmBackend } from "./backend.ts";

const status = "/proc/self/status";
const residentBytes = (): number => 1024 * Number(/VmRSS:\s*(\d+)/.exec(readFileSync(status, "utf8"))![1]);

test.skipIf(!existsSync(status))("five rounds of loading need no more than one", async () => {
  const [rows, width] = [65536, 1024];
  const bytes = 4 * rows * width;
  // Made as it is read: what is counted is the core's memory.
  const source: ByteSource = { name: "zeros", byteLength: bytes, read: async (_, length) => new Uint8Array(length), close: async () => {} };
  const tensor = { name: "w", shape: [rows, width], format: formatByName("F32"), source, offset: 0, byteLength: bytes };
  const weights: Weights = new Map([["w", { shape: [rows, width], content: { rows: [{ tensor, first: 0, count: rows }] } }]]);
  const b = createBuilder();
  const y = b.matmul(b.input("x", { shape: [symbol("T"), width], type: "f32" }), b.weight("w", [rows, width]));
  const made = await createWasmBackend({ threads: 2 });
  if ("reason" in made) throw new Error(made.reason);
  const held: LoadedModel[] = [];
  const after: number[] = [];
  for (let round = 0; round < 5; round++) {
    const model = await made.backend.load({ main: { outputs: new Map([["y", y]]) } }, weights, { caps: { T: 1, S: 1, C: 1, R: 1 } });
    expect(model.memory.weights).toBeGreaterThanOrEqual(bytes);
    held.push(model);
    await model.dispose();
    await new Promise((resolve) => setTimeout(resolve, 200)); // V8 sweeps beside us
    after.push(residentBytes());
  }
  expect(held).toHaveLength(5);
  // What the reads left in V8's hands comes and goes, some 70 MB of it; one model that stayed would be 268.
  expect(Math.max(...after) - Math.min(...after)).toBeLessThan(0.5 * bytes);
});
