/** Named tensors through every fixture, on both backends, against the original implementation. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type Fixture, fixtures } from "../../testing/families.ts";
import { createNativeBackend } from "../backends/native/backend.ts";
import type { Backend } from "../backends/backend.ts";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import { openFile } from "../formats/files.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { decodeTensor } from "../tensor/stored.ts";
import { forward, forwardLoading } from "./forward.ts";
import type { NamedTensor } from "./forward-rows.ts";
import { loadParts } from "./load-parts.ts";

const folder = fileURLToPath(new URL("../../testing/fixtures/", import.meta.url));
const native = createNativeBackend({ threads: 2 });
const backends: readonly Backend[] = [createReferenceBackend(), ...("backend" in native ? [native.backend] : [])];
const pathOf = ({ name, kind }: Fixture): string => `${folder}families/${name}${kind === "gguf" ? `/${name}.gguf` : ""}`;
const inputNames = ["input_ids", "attention_mask", "token_type_ids", "position_ids"];
const outputNames = ["logits", "last_hidden_state", "pooler_output"];

type Case = ReadonlyMap<string, NamedTensor>;

/** Tensors named CASE.NAME, by case. */
async function readCases(path: string): Promise<ReadonlyMap<string, Case>> {
  const file = await readSafetensors(await openFile(path));
  const cases = new Map<string, Map<string, NamedTensor>>();
  for (const [key, tensor] of file.tensors) {
    const [label, name] = key.split(".") as [string, string];
    const found = cases.get(label) ?? new Map<string, NamedTensor>();
    cases.set(label, found.set(name, { shape: tensor.shape, data: await decodeTensor(tensor) }));
  }
  await file.close();
  return cases;
}

async function run(path: string, inputs: Case, backend: Backend): Promise<ReadonlyMap<string, NamedTensor>> {
  const { context, sequences, cache, ...limits } = forwardLoading(inputs);
  const parts = await loadParts(path, { backend, context: context!, sequences: sequences!, cache: cache! }, limits);
  return forward(parts, inputs).finally(() => parts.dispose());
}

const only = (all: Case, names: readonly string[]): Case => new Map([...all].filter(([name]) => names.includes(name)));

/** The worst difference in places that the mask keeps. */
function distance(got: NamedTensor | undefined, wanted: NamedTensor, mask: NamedTensor | undefined): number {
  expect(got?.shape).toEqual(wanted.shape);
  const width = wanted.shape.at(-1)!;
  return wanted.data.reduce(
    (worst, x, i) => (mask?.data[Math.floor(i / width)] === 0 ? worst : Math.max(worst, Math.abs(x - got!.data[i]!))),
    0,
  );
}

describe.each(backends)("$name", (backend) => {
  test.each(fixtures)("$name from $kind gives what the original gives", async (fixture) => {
    const cases = await readCases(`${folder}families/${fixture.name}/cases.safetensors`);
    for (const one of cases.values()) {
      const got = await run(pathOf(fixture), only(one, inputNames), backend);
      // GGUF files hold no pooler.
      const wanted = outputNames.filter((name) => one.has(name) && !(fixture.kind === "gguf" && name === "pooler_output"));
      expect(wanted.length).toBeGreaterThan(0);
      for (const name of wanted) expect(distance(got.get(name), one.get(name)!, undefined)).toBeLessThan(1e-4);
    }
  });

  test.each(readdirSync(`${folder}forward`).map((file) => file.replace(".safetensors", "")))("%s: padding, gaps, places", async (name) => {
    for (const one of (await readCases(`${folder}forward/${name}.safetensors`)).values()) {
      const got = await run(`${folder}families/${name}`, only(one, inputNames), backend);
      for (const [output, wanted] of only(one, outputNames))
        expect(distance(got.get(output), wanted, one.get("attention_mask"))).toBeLessThan(1e-4);
    }
  });
});

describe("what is refused", () => {
  const tensor = (shape: readonly number[], ...data: number[]): NamedTensor => ({ shape, data: Float32Array.from(data) });
  const ids = tensor([1, 4], 5, 6, 7, 8);
  test.each([
    ["llama-3", {}, /input_ids is missing; there is nothing/],
    ["llama-3", { input_ids: tensor([1, 1, 2], 5, 6) }, /shape \[1, 1, 2\]; give \[length\] or \[batch, length\]/],
    ["llama-3", { input_ids: tensor([0, 2]) }, /shape \[0, 2\]/],
    ["llama-3", { input_ids: tensor([1, 2], 5, 1.5) }, /input_ids is 1.5 at element 1; give whole numbers/],
    ["llama-3", { input_ids: tensor([1, 2], 5, Number.NaN) }, /input_ids is NaN at element 1/],
    ["llama-3", { input_ids: tensor([1, 2], -5, 1) }, /input_ids is -5 at element 0/],
    ["llama-3", { input_ids: tensor([1, 2], 5, 131) }, /131 is not a token; ids go from 0 to 130/],
    ["llama-3", { input_ids: ids, attention_mask: tensor([4], 1, 1, 1, 1) }, /attention_mask has shape \[4\], but input_ids has \[1, 4\]/],
    ["llama-3", { input_ids: ids, attention_mask: tensor([1, 4], 0, 0, 0, 0) }, /leaves nothing of row 0/],
    ["llama-3", { input_ids: ids, atention_mask: ids }, /no input "atention_mask"; did you mean attention_mask/],
    ["llama-3", { input_ids: ids, token_type_ids: tensor([1, 4], 0, 0, 1, 1) }, /llama-3 has no token types/],
    ["llama-3", { input_ids: ids, position_ids: tensor([1, 4], 0, 1, 0, 1) }, /count on by 1; give each text a row/],
    ["bloom", { input_ids: ids, position_ids: tensor([1, 4], 1, 2, 3, 4) }, /has no positions to be told/],
    ["distilbert", { input_ids: ids, token_type_ids: tensor([1, 4], 0, 0, 1, 1) }, /distilbert has no token types/],
    ["bert", { input_ids: ids, token_type_ids: tensor([1, 4], 0, 0, 2, 1) }, /2/],
    ["bert", { input_ids: ids, position_ids: tensor([1, 4], 0, 1, 2, 48) }, /48/],
    ["gpt-2", { input_ids: ids, position_ids: tensor([1, 4], 61, 62, 63, 64) }, /64/],
    [
      "mistral-window",
      { input_ids: tensor([1, 10], ...Array.from({ length: 10 }, () => 5)), attention_mask: tensor([1, 10], 1, 0, 1, 1, 1, 1, 1, 1, 1, 1) },
      /sees 8 tokens back/,
    ],
  ] as const)("%s, case %#", async (name, inputs, message) => {
    for (const backend of backends) {
      const given = new Map<string, NamedTensor>(Object.entries(inputs));
      const outcome = (async () => run(`${folder}families/${name}`, given, backend))();
      await expect(outcome).rejects.toMatchObject({ name: "FrugalError", message: expect.stringMatching(message) as string });
    }
  });
});
