/** What a model held is the system's again after `dispose`: counted in resident pages, over rounds of loading. */
import { closeSync, existsSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openFile } from "../../formats/files.ts";
import { symbol } from "../../graph/dim.ts";
import { createBuilder } from "../../ops/builder.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import type { Weights } from "../backend.ts";
import { createNativeBackend, instructionSets } from "./backend.ts";

const status = "/proc/self/status";
const residentBytes = (): number => 1024 * Number(/VmRSS:\s*(\d+)/.exec(readFileSync(status, "utf8"))![1]);

test.skipIf("reason" in instructionSets() || !existsSync(status))("five rounds of loading need no more than one", async () => {
  const [rows, width] = [16384, 1024];
  const bytes = 4 * rows * width;
  const folder = mkdtempSync(join(tmpdir(), "frugal-memory-"));
  const path = join(folder, "zeros");
  const descriptor = openSync(path, "w");
  ftruncateSync(descriptor, bytes);
  closeSync(descriptor);
  const source = await openFile(path);
  const tensor = { name: "w", shape: [rows, width], format: formatByName("F32"), source, offset: 0, byteLength: bytes };
  const weights: Weights = new Map([["w", { shape: [rows, width], content: { rows: [{ tensor, first: 0, count: rows }] } }]]);
  const b = createBuilder();
  const y = b.matmul(b.input("x", { shape: [symbol("T"), width], type: "f32" }), b.weight("w", [rows, width]));
  const made = createNativeBackend({ threads: 2 });
  if ("reason" in made) throw new Error(made.reason);
  const after: number[] = [];
  for (let round = 0; round < 5; round++) {
    const before = residentBytes();
    const model = await made.backend.load({ main: { outputs: new Map([["y", y]]) } }, weights, { caps: { T: 1, S: 1, C: 1, R: 1 } });
    expect(model.memory.weights).toBeGreaterThanOrEqual(bytes);
    expect(residentBytes() - before).toBeGreaterThan(0.9 * bytes);
    await model.dispose();
    after.push(residentBytes());
  }
  await source.close();
  rmSync(folder, { recursive: true });
  // The runtime's own heap moves by some megabytes.
  expect(Math.max(...after) - Math.min(...after)).toBeLessThan(0.25 * bytes);
});
