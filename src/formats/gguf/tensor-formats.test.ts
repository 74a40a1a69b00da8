/** The formats that llama-quantize gave tensors of the same names and shapes (testing/oracles/file_types.py). */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { formatByName } from "../../tensor/formats/index.ts";
import { fileTypeNames, fileTypeOf, fileTypes } from "./file-types.ts";
import { type NamedTensor, tensorFormats } from "./tensor-formats.ts";

interface Model {
  readonly metadata: Readonly<Record<string, string | number>>;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly kinds: Readonly<Record<string, { readonly number: number; readonly formats: Readonly<Record<string, string>> }>>;
}

const models = JSON.parse(readFileSync(new URL("../../../testing/fixtures/file-types.json", import.meta.url), "utf8")) as Record<
  string,
  Model
>;
const F32 = formatByName("F32");

describe.each(Object.entries(models))("%s", (_, { metadata, shapes, kinds }) => {
  const layers = Number(metadata["llama.block_count"]);
  const names = (part: string): string[] =>
    part.includes("#") ? Array.from({ length: layers }, (_, layer) => part.replace("#", String(layer))) : [part];
  const tensors = Object.entries(shapes).flatMap(([part, shape]) => names(part).map((name): NamedTensor => ({ name, shape, format: F32 })));

  test.each(Object.entries(kinds))("%s", (kind, { number, formats }) => {
    const [name, pure] = kind.split(" ") as [string, string | undefined];
    const type = fileTypeOf(name)!;
    expect(type.number).toBe(number);
    const chosen = tensorFormats(type, tensors, new Map(Object.entries(metadata)), pure !== undefined);
    for (const [part, expected] of Object.entries(formats)) {
      const found = names(part).map((tensor) => chosen.get(tensor)!.name);
      expect([part, new Set(found).size > 1 ? found.join(" ") : found[0]]).toEqual([part, expected]);
    }
  });
});

test("every kind is compared", () => {
  for (const { kinds } of Object.values(models)) expect(Object.keys(kinds)).toEqual(expect.arrayContaining(Object.keys(fileTypes)));
});

test("names in any case, and short ones", () => {
  expect(fileTypeOf("q4_k")).toBe(fileTypes["Q4_K_M"]);
  expect(fileTypeOf("Q4_K_S")).toBe(fileTypes["Q4_K_S"]);
  expect([fileTypeOf("constructor"), fileTypeOf("Q4")]).toEqual([undefined, undefined]);
  for (const name of fileTypeNames) expect(fileTypeOf(name)).toBeDefined();
});

test("what is no matrix of weights keeps its format", () => {
  const kept = [
    "blk.0.attn_norm.weight",
    "position_embd.weight",
    "token_types.weight",
    "blk.0.ffn_gate_inp.weight",
    "table",
    "rope_freqs.weight",
  ];
  const tensors = kept.map((name): NamedTensor => ({ name, shape: name === "rope_freqs.weight" ? [1, 32] : [32, 32], format: F32 }));
  const counters: NamedTensor = { name: "ids.weight", shape: [32, 32], format: formatByName("I32") };
  const chosen = tensorFormats(fileTypes["Q4_0"]!, [...tensors, counters], new Map());
  expect([...chosen.values()].map(({ name }) => name)).toEqual([...kept.map(() => "F32"), "I32"]);
});
