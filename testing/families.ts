/**
 * Every family's fixture, and what a backend must answer to it: logits of whole sequences, of cached decoding in any chunking, and of
 * sequences side by side; hidden states and embeddings of encoders.
 */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { Backend, Inputs, LoadedModel, Outputs } from "../src/backends/backend.ts";
import { openDirectory } from "../src/formats/directory.ts";
import { openFile } from "../src/formats/files.ts";
import { readGguf } from "../src/formats/gguf/read.ts";
import { readSafetensors } from "../src/formats/safetensors.ts";
import { type Graph, inOrder, sourceName } from "../src/graph/value.ts";
import type { Checkpoint, Model } from "../src/models/family.ts";
import { openModel } from "../src/models/index.ts";
import { pageSize } from "../src/ops/cache.ts";
import { positionsIn } from "../src/serving/embed.ts";
import { decodeTensor } from "../src/tensor/stored.ts";

const folder = fileURLToPath(new URL("./fixtures/families/", import.meta.url));
const notYet = new Set(["mpnet"]);

export interface Fixture {
  readonly name: string;
  readonly kind: "huggingface" | "gguf";
}

/** Each fixture, once for each file format it has. */
export const fixtures: readonly Fixture[] = readdirSync(folder)
  .filter((name) => !notYet.has(name))
  .flatMap((name): Fixture[] => [
    { name, kind: "huggingface" },
    ...(readdirSync(folder + name).includes(`${name}.gguf`) ? [{ name, kind: "gguf" } as const] : []),
  ]);

export type OpenCheckpoint = Checkpoint & { close(): Promise<void> };

/** A fixture's checkpoint, as the program would open it. */
export async function openFixture({ name, kind }: Fixture): Promise<OpenCheckpoint> {
  if (kind === "gguf") {
    const { metadata, tensors, close } = await readGguf(await openFile(`${folder}${name}/${name}.gguf`));
    return { kind, name: `${name}.gguf`, metadata, tensors, close };
  }
  const { config, tensors, pooling, close } = await openDirectory(folder + name);
  return { kind, name, config, tensors, close, ...(pooling && { pooling }) };
}

/** What the original implementation answered, and its gradients: see testing/oracles/README.md. */
export async function readCases(name: string, kind: "cases" | "gradients" = "cases"): Promise<ReadonlyMap<string, Float32Array>> {
  const file = await readSafetensors(await openFile(`${folder}${name}/${kind}.safetensors`));
  const cases = new Map<string, Float32Array>();
  for (const [key, tensor] of file.tensors) cases.set(key, await decodeTensor(tensor));
  await file.close();
  return cases;
}

/** Runs a fixture's cases on a backend, and returns the worst absolute difference from the original; expects it to be below `tolerance`. */
export async function checkFixture(backend: Backend, fixture: Fixture, tolerance: number): Promise<number> {
  const checkpoint = await openFixture(fixture);
  const cases = await readCases(fixture.name);
  const model = openModel(checkpoint);
  const worst = await (model.kind === "text" ? checkText : checkEncoder)(backend, model, cases);
  await checkpoint.close();
  expect(worst).toBeLessThan(tolerance);
  return worst;
}

export const caps = { T: 64, S: 4, C: 8, R: 64 } as const;
const pagesEach = Math.ceil(caps.T / pageSize);

/** Rows `from` to `to` of a sequence. */
export interface Part {
  readonly ids: ArrayLike<number>;
  readonly from: number;
  readonly to: number;
  readonly segments?: ArrayLike<number> | undefined;
  /** Where they do not count from 0. */
  readonly positions?: Int32Array | undefined;
}

/** Runs parts of sequences side by side; each has pages of its own, not next to each other. `others`: inputs that are no part of a sequence. */
export async function run(
  loaded: LoadedModel,
  program: string,
  graph: Graph,
  parts: readonly Part[],
  others: Inputs = {},
): Promise<Outputs> {
  const rows = parts.flatMap(({ ids, from, to, segments, positions }) =>
    Array.from({ length: to - from }, (_, i) => ({
      id: ids[from + i]!,
      at: positions?.[from + i] ?? from + i,
      segment: segments?.[from + i] ?? 0,
    })),
  );
  const rowOffsets = [0];
  for (const { from, to } of parts) rowOffsets.push(rowOffsets.at(-1)! + to - from);
  const inputs = {
    tokens: rows.map(({ id }) => id),
    positions: rows.map(({ at }) => at),
    segments: rows.map(({ segment }) => segment),
    rowOffsets,
    contextLengths: parts.map(({ to }) => to),
    pageTable: parts.flatMap((_, s) => Array.from({ length: pagesEach }, (__, page) => page * caps.S + s)),
    outputRows: rows.map((_, i) => i),
  };
  const wanted = new Set(inOrder(graph.outputs.values()).flatMap((value) => (value.op === "input" ? [sourceName(value)] : [])));
  for (const name of wanted) if (name.startsWith("pageTable.")) Object.assign(inputs, { [name]: inputs.pageTable });
  const given = Object.entries(inputs).filter(([name]) => wanted.has(name));
  return loaded.run({
    program,
    symbols: { T: rows.length, S: parts.length, C: pagesEach, R: rows.length },
    inputs: { ...others, ...Object.fromEntries(given.map(([name, data]) => [name, Int32Array.from(data)])) },
  });
}

async function checkText(backend: Backend, model: Model, cases: ReadonlyMap<string, Float32Array>): Promise<number> {
  const ids = cases.get("long.input_ids")!;
  const wanted = cases.get("long.logits")!;
  const short = { ids: cases.get("short.input_ids")!, from: 0, to: cases.get("short.input_ids")!.length };
  const graphs = { ...model.graphs({ contextLength: ids.length }) };
  const loaded = await backend.load(graphs, model.weights, { caps, cachePages: pagesEach * caps.S, cacheFormat: "F32" });
  const part = (from: number, to: number): Part => ({ ids, from, to });
  const whole = part(0, ids.length);
  const logits = async (program: string, ...parts: readonly Part[]): Promise<ArrayLike<number>> =>
    (await run(loaded, program, graphs[program]!, parts))["logits"]!;

  let worst = Math.max(distance(await logits("score", whole), wanted), distance(await logits("generate", whole), wanted));
  for (const chunk of [1, 5])
    for (let from = 0; from < ids.length; from += chunk) {
      const to = Math.min(from + chunk, ids.length);
      const rows = wanted.subarray(from * model.vocabularySize, to * model.vocabularySize);
      worst = Math.max(worst, distance(await logits("generate", part(from, to)), rows));
    }
  // Where frequencies depend on the length, the graphs for a shorter sequence are others.
  if (cases.has("long.continuation"))
    for (const program of ["score", "generate"])
      worst = Math.max(worst, distance(await logits(program, short, whole), [...cases.get("short.logits")!, ...wanted]));
  await loaded.dispose();
  return Math.max(worst, await checkShort(backend, model, short, cases.get("short.logits")!));
}

async function checkShort(backend: Backend, model: Model, short: Part, wanted: Float32Array): Promise<number> {
  const graph = model.graphs({ contextLength: short.to })["score"]!;
  const loaded = await backend.load({ score: graph }, model.weights, { caps });
  const worst = distance((await run(loaded, "score", graph, [short]))["logits"]!, wanted);
  await loaded.dispose();
  return worst;
}

const labelsOf = (cases: ReadonlyMap<string, Float32Array>): string[] =>
  ["long", "short", "typed"].filter((label) => cases.has(`${label}.input_ids`));

/** The cases of these labels, all there are where absent, as whole sequences. */
export const wholeParts = (model: Model, cases: ReadonlyMap<string, Float32Array>, labels: readonly string[] = labelsOf(cases)): Part[] =>
  labels.map((label) => {
    const ids = cases.get(`${label}.input_ids`)!;
    const positions = model.kind === "encoder" ? positionsIn(model, Int32Array.from(ids)) : undefined;
    return { ids, from: 0, to: ids.length, segments: cases.get(`${label}.token_type_ids`), positions };
  });

async function checkEncoder(backend: Backend, model: Model, cases: ReadonlyMap<string, Float32Array>): Promise<number> {
  const graphs = { ...model.graphs() };
  const loaded = await backend.load(graphs, model.weights, { caps });
  const labels = labelsOf(cases);
  const parts = wholeParts(model, cases, labels);
  const got = await run(loaded, "embed", graphs["embed"]!, parts);
  const all = (key: string): number[] => labels.flatMap((label) => [...(cases.get(`${label}.${key}`) ?? [])]);
  await loaded.dispose();
  return Math.max(
    distance(got["lastHiddenState"]!, all("last_hidden_state")),
    distance(got["embeddings"]!, all("embedding")),
    got["poolerOutput"] === undefined ? 0 : distance(got["poolerOutput"], all("pooler_output")),
  );
}

function distance(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(got.length).toBe(wanted.length);
  let worst = 0;
  for (let i = 0; i < wanted.length; i++) worst = Math.max(worst, Math.abs(got[i]! - wanted[i]!));
  return worst;
}
