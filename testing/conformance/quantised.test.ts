/** Whole models in every storage format: each backend of the core against the reference, and against itself in company, in pieces, by more threads. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { loadParts, type StepLimits } from "../../src/serving/load-parts.ts";
import { readLogits } from "../../src/serving/read-logits.ts";
import { formatByName } from "../../src/tensor/formats/index.ts";
import { coreBackends } from "../backends.ts";
import { type WideValues, wideValues, wideVocabulary, writeWideModel } from "../quantised.ts";

const floats = ["F32", "F16", "BF16"];
const blocks = "Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4 TQ1_0 TQ2_0".split(" ");
let folder: string;
let values: WideValues;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "frugal-wide-"));
  values = wideValues();
  await Promise.all([...floats, ...blocks].map((format) => writeWideModel(pathOf(format), values, formatByName(format))));
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pathOf = (format: string): string => join(folder, `${format}.gguf`);
const draw = (count: number, seed: number, below: number): number[] =>
  Array.from({ length: count }, (_, i) => ((i + 1) * (seed * 7 + 3)) % below);

/** The logits after each token of each sequence, all asked for together. */
async function logitsOf(
  path: string,
  backend: Backend,
  sequences: readonly (readonly number[])[],
  limits: StepLimits = {},
): Promise<number[][]> {
  const parts = await loadParts(
    path,
    { backend, context: 64, sequences: sequences.length, cacheTokens: 256, cache: "F16" },
    { outputRows: 64, wantsTokenizer: false, ...limits },
  );
  const all = await Promise.all(
    sequences.map(async (ids) => {
      const rows: number[] = [];
      await readLogits(parts.engine!, ids, 0, (_, row) => rows.push(...row));
      return rows;
    }),
  );
  await parts.dispose();
  return all;
}

/** Root mean square of the difference, of that of the numbers. */
function distance(a: readonly number[], b: readonly number[]): number {
  const squares = (x: readonly number[]): number => x.reduce((sum, v) => sum + v * v, 0);
  return Math.sqrt(squares(a.map((v, i) => v - b[i]!)) / squares(b));
}

describe("the core", () => {
  test.each([...floats.map((format) => [format, 1e-5] as const), ...blocks.map((format) => [format, 0.05] as const)])(
    "a model in %s is within %d of the reference, by each backend",
    async (format, tolerance) => {
      const ids = draw(24, 1, wideVocabulary);
      const parts = { cache: "F32" } as const;
      const run = async (backend: Backend): Promise<number[]> => {
        const loaded = await loadParts(pathOf(format), { backend, context: 32, sequences: 1, ...parts }, { outputRows: 32 });
        const rows: number[] = [];
        await readLogits(loaded.engine!, ids, 0, (_, row) => rows.push(...row));
        await loaded.dispose();
        return rows;
      };
      const wanted = await run(createReferenceBackend());
      for (const { create } of coreBackends) expect(distance(await run(await create(2)), wanted)).toBeLessThan(tolerance);
    },
  );

  const fixtures = fileURLToPath(new URL("../fixtures/families/", import.meta.url));
  const models = (): (readonly [name: string, path: string, vocabulary: number])[] => [
    ...["F32", "F16", "BF16", ...blocks].map((format) => [format, "", wideVocabulary] as const),
    ...["mixtral", "gemma-3", "bloom", "gpt-2", "qwen-3-moe"].map((name) => [name, `${fixtures}${name}`, 131] as const),
  ];
  test.each(models())("%s: the same bits alone, in company, in pieces and by any number of threads", async (name, path, vocabulary) => {
    // Every backend has its turn.
    const { create } = coreBackends[models().findIndex(([other]) => other === name) % coreBackends.length]!;
    const place = path === "" ? pathOf(name) : path;
    const sequences = [draw(45, 2, vocabulary), draw(1, 3, vocabulary), draw(33, 4, vocabulary), draw(12, 5, vocabulary)];
    const wanted = await Promise.all(sequences.map(async (ids) => (await logitsOf(place, await create(1), [ids]))[0]!));
    const variants = [
      logitsOf(place, await create(1), sequences),
      logitsOf(place, await create(3), sequences),
      logitsOf(place, await create(2), sequences, { rows: 7 }),
      logitsOf(place, await create(2), sequences, { rows: 33, outputRows: 5 }),
    ];
    for (const variant of await Promise.all(variants)) expect(variant).toEqual(wanted);
  });
});
