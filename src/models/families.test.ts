/** Every family against the original implementation: logits of whole sequences, of cached decoding in any chunking, and of sequences side by side. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { LoadedModel, Outputs } from "../backends/backend.ts";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import { openDirectory } from "../formats/directory.ts";
import { openFile } from "../formats/files.ts";
import { readGguf } from "../formats/gguf/read.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { type Graph, inOrder, sourceName } from "../graph/value.ts";
import { pageSize } from "../ops/cache.ts";
import { decodeTensor } from "../tensor/stored.ts";
import type { Checkpoint, Model } from "./family.ts";
import { openModel } from "./index.ts";

const fixtures = fileURLToPath(new URL("../../testing/fixtures/families/", import.meta.url));
const notYet = new Set(["mpnet"]);
const worst = 1e-3;
const caps = { T: 64, S: 4, C: 8, R: 64 };

const sources = readdirSync(fixtures)
  .filter((name) => !notYet.has(name))
  .flatMap((name) =>
    readdirSync(fixtures + name).includes(`${name}.gguf`)
      ? [
          { name, kind: "huggingface" },
          { name, kind: "gguf" },
        ]
      : [{ name, kind: "huggingface" }],
  );

async function openFixture(name: string, kind: string): Promise<Checkpoint> {
  if (kind === "huggingface") {
    const directory = await openDirectory(fixtures + name);
    return {
      kind,
      name,
      config: directory.config,
      tensors: directory.tensors,
      ...(directory.pooling && { pooling: directory.pooling }),
    } as Checkpoint;
  }
  const file = await readGguf(await openFile(`${fixtures}${name}/${name}.gguf`));
  return { kind: "gguf", name: `${name}.gguf`, metadata: file.metadata, tensors: file.tensors };
}

async function readCases(name: string): Promise<Map<string, Float32Array>> {
  const file = await readSafetensors(await openFile(`${fixtures}${name}/cases.safetensors`));
  const cases = new Map<string, Float32Array>();
  for (const [key, tensor] of file.tensors) cases.set(key, await decodeTensor(tensor));
  await file.close();
  return cases;
}

/** Sequences side by side: rows `from` to `to` of each. */
interface Part {
  readonly ids: ArrayLike<number>;
  readonly from: number;
  readonly to: number;
  readonly segments?: ArrayLike<number>;
}

async function run(loaded: LoadedModel, program: string, graph: Graph, parts: readonly Part[]): Promise<Outputs> {
  const rows = parts.flatMap(({ ids, from, to, segments }) =>
    Array.from({ length: to - from }, (_, i) => ({ id: ids[from + i]!, at: from + i, segment: segments?.[from + i] ?? 0 })),
  );
  const offsets = [0];
  for (const { from, to } of parts) offsets.push(offsets.at(-1)! + to - from);
  const pages = 3;
  const all = {
    tokens: rows.map(({ id }) => id),
    positions: rows.map(({ at }) => at),
    segments: rows.map(({ segment }) => segment),
    rowOffsets: offsets,
    contextLengths: parts.map(({ to }) => to),
    pageTable: parts.flatMap((_, s) => Array.from({ length: pages }, (__, p) => p * caps.S + s)),
    outputRows: rows.map((_, i) => i),
  };
  const wanted = new Set(
    inOrder(graph.outputs.values())
      .filter(({ op }) => op === "input")
      .map(sourceName),
  );
  const inputs = Object.fromEntries(
    Object.entries(all).flatMap(([name, data]) => (wanted.has(name) ? [[name, Int32Array.from(data)]] : [])),
  );
  return loaded.run({ program, symbols: { T: rows.length, S: parts.length, C: pages, R: rows.length }, inputs });
}

function distance(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(got.length).toBe(wanted.length);
  let worstSoFar = 0;
  for (let i = 0; i < wanted.length; i++) worstSoFar = Math.max(worstSoFar, Math.abs(got[i]! - wanted[i]!));
  return worstSoFar;
}

describe.each(sources)("$name from $kind", ({ name, kind }) => {
  test("gives what the original implementation gives", async () => {
    const checkpoint = await openFixture(name, kind);
    const cases = await readCases(name);
    const model = openModel(checkpoint);
    const check = model.kind === "text" ? checkText : checkEncoder;
    await check(model, cases);
  });
});

async function checkText(model: Model, cases: ReadonlyMap<string, Float32Array>): Promise<void> {
  const ids = cases.get("long.input_ids")!;
  const wanted = cases.get("long.logits")!;
  const graphs = { ...model.graphs({ contextLength: ids.length }) };
  const { generate, score } = graphs as { readonly generate: Graph; readonly score: Graph };
  const loaded = await createReferenceBackend().load(graphs, model.weights, { caps, cachePages: 16, cacheFormat: "F32" });
  const n = ids.length;
  const rows = (from: number, to: number): Float32Array => wanted.subarray(from * model.vocabularySize, to * model.vocabularySize);
  const part = (from: number, to: number): Part => ({ ids, from, to });

  expect(distance((await run(loaded, "score", score, [part(0, n)]))["logits"]!, wanted)).toBeLessThan(worst);
  expect(distance((await run(loaded, "generate", generate, [part(0, n)]))["logits"]!, wanted)).toBeLessThan(worst);
  for (const chunk of [1, 5])
    for (let from = 0; from < n; from += chunk) {
      const to = Math.min(from + chunk, n);
      expect(distance((await run(loaded, "generate", generate, [part(from, to)]))["logits"]!, rows(from, to))).toBeLessThan(worst);
    }

  const short = cases.get("short.input_ids")!;
  const plain = { ...model.graphs({ contextLength: short.length }) };
  const other = await createReferenceBackend().load(plain, model.weights, { caps, cachePages: 16, cacheFormat: "F32" });
  const shortWanted = cases.get("short.logits")!;
  expect(
    distance((await run(other, "score", plain["score"]!, [{ ids: short, from: 0, to: short.length }]))["logits"]!, shortWanted),
  ).toBeLessThan(worst);
  if (cases.has("long.continuation")) {
    const both = (await run(loaded, "generate", generate, [{ ids: short, from: 0, to: short.length }, part(0, n)]))["logits"]!;
    expect(distance(both, [...shortWanted, ...wanted])).toBeLessThan(worst);
  }
  await loaded.dispose();
  await other.dispose();
}

async function checkEncoder(model: Model, cases: ReadonlyMap<string, Float32Array>): Promise<void> {
  const graphs = { ...model.graphs() };
  const loaded = await createReferenceBackend().load(graphs, model.weights, { caps });
  const labels = ["long", "short", "typed"].filter((label) => cases.has(`${label}.input_ids`));
  const parts = labels.map((label): Part => {
    const ids = cases.get(`${label}.input_ids`)!;
    const segments = cases.get(`${label}.token_type_ids`);
    return { ids, from: 0, to: ids.length, ...(segments && { segments }) };
  });
  const got = await run(loaded, "embed", graphs["embed"]!, parts);
  const all = (key: string): number[] => labels.flatMap((label) => [...(cases.get(`${label}.${key}`) ?? [])]);
  expect(distance(got["lastHiddenState"]!, all("last_hidden_state"))).toBeLessThan(worst);
  expect(distance(got["embeddings"]!, all("embedding"))).toBeLessThan(worst);
  if (got["poolerOutput"] !== undefined) expect(distance(got["poolerOutput"], all("pooler_output"))).toBeLessThan(worst);
  await loaded.dispose();
}

test("pages hold what the tests need", () => expect(3 * pageSize).toBeGreaterThan(64));
