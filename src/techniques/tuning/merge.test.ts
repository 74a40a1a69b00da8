/** Merged models: weights as PEFT's merge_and_unload makes them, answers as with the adapter beside, files whole or not there. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adapterCases, type AdapterFixture, adapterFixtures, distance, logitsOf, tensorsOf } from "../../../testing/adapters.ts";
import { openModel } from "../../models/index.ts";
import { openCheckpoint } from "../../models/open-checkpoint.ts";
import { openGguf } from "../../formats/gguf/split.ts";
import { type Merged, mergeInto, type MergeOptions } from "./merge-files.ts";
import { openAdapter } from "./open-adapter.ts";

const families = fileURLToPath(new URL("../../../testing/fixtures/families/", import.meta.url));
const mergeable = adapterFixtures.filter(({ isVirtual }) => !isVirtual);
const fixture = (name: string): AdapterFixture => adapterFixtures.find((each) => each.name === name)!;

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "frugal-merge-"))));
afterAll(() => rm(folder, { recursive: true }));

async function merge(base: string, adapterPath: string, out: string, options: MergeOptions = {}): Promise<Merged> {
  const opened = await openCheckpoint(base);
  try {
    const adapter = await openAdapter(adapterPath, opened.checkpoint, openModel(opened.checkpoint));
    return await mergeInto(out, opened, adapter, options);
  } finally {
    await opened.close();
  }
}

async function logits(path: string, ids: ArrayLike<number>): Promise<Float32Array> {
  const opened = await openCheckpoint(path);
  try {
    return await logitsOf(openModel(opened.checkpoint), ids);
  } finally {
    await opened.close();
  }
}

const entries = (values: Float32Array): Float32Array => Float32Array.from({ length: 16 }, (_, i) => values[(i * 7919) % values.length]!);

describe("a merged model is PEFT's", () => {
  test.each(mergeable)("$name, a directory", async (each) => {
    const out = join(folder, each.name);
    await merge(join(families, each.base), each.path, out, { format: "F32" });
    const cases = await adapterCases(each);
    const written = await tensorsOf(join(out, "model.safetensors"));
    let compared = 0;
    for (const [name, values] of cases) {
      const tensor = name.startsWith("merged.") ? written.get(name.slice("merged.".length)) : undefined;
      if (tensor === undefined) continue;
      expect(distance(entries(tensor.values), values)).toBeLessThan(1e-5);
      compared++;
    }
    expect(compared).toBeGreaterThan(1);
    expect(distance(await logits(out, cases.get("input_ids")!), cases.get("logits")!)).toBeLessThan(1e-3);
  });

  test.each(mergeable.filter(({ name }) => name !== "lora-classifier"))("$name, a GGUF file", async (each) => {
    const out = join(folder, `${each.name}.gguf`);
    await merge(join(families, each.base, `${each.base}.gguf`), each.path, out, { format: "F32" });
    const cases = await adapterCases(each);
    expect(distance(await logits(out, cases.get("input_ids")!), cases.get("logits")!)).toBeLessThan(1e-3);
  });
});

describe("the files", () => {
  const base = join(families, "llama-3");
  const ids = [7, 11, 23];

  test("keep each tensor's format where none is asked for, and everything else", async () => {
    const out = join(folder, "same.gguf");
    const { changed, formats } = await merge(join(base, "llama-3.gguf"), fixture("lora").path, out);
    expect(changed).toBe(21);
    const [before, after] = [await openGguf(join(base, "llama-3.gguf")), await openGguf(out)];
    expect([...after.tensors.values()].map(({ name, format }) => [name, format.name])).toEqual(
      [...before.tensors.values()].map(({ name, format }) => [name, format.name]),
    );
    expect(after.metadata).toEqual(before.metadata);
    expect(Object.values(formats).reduce((a, b) => a + b)).toBe(before.tensors.size);
    await Promise.all([before.close(), after.close()]);
  });

  test("are stored in another format where one is asked for, as far as rows are whole blocks", async () => {
    const wanted = await logits(await path("F32"), ids);
    expect(distance(await logits(await path("F16"), ids), wanted)).toBeLessThan(0.02);
    const quantised = await logits(await path("Q8_0"), ids);
    expect(distance(quantised, wanted)).toBeGreaterThan(1e-3);
    expect(distance(quantised, wanted)).toBeLessThan(0.3);
    // 32 channels are no block of 256: the next best is taken.
    const file = await openGguf(await path("Q4_K"));
    expect(file.tensors.get("blk.0.attn_q.weight")!.format.name).toBe("Q8_0");
    expect(file.metadata.get("general.file_type")).toBe(15);
    await file.close();

    async function path(format: string): Promise<string> {
      const out = join(folder, `as-${format}.gguf`);
      if (!existsSync(out)) await merge(join(base, "llama-3.gguf"), fixture("lora").path, out, { format });
      return out;
    }
  });

  test("a quantised model is decoded, changed and quantised again", async () => {
    const quantised = join(folder, "quantised.gguf");
    await merge(join(base, "llama-3.gguf"), fixture("norms").path, quantised, { format: "Q8_0" });
    const out = join(folder, "twice.gguf");
    const { formats } = await merge(quantised, fixture("lora").path, out);
    expect(formats["Q8_0"]).toBeGreaterThan(20);
    const opened = await openCheckpoint(quantised);
    const { openAdaptedModel } = await import("./open-adapter.ts");
    const beside = await logitsOf(await openAdaptedModel(fixture("lora").path, opened.checkpoint), ids);
    await opened.close();
    expect(distance(await logits(out, ids), beside)).toBeLessThan(0.3);
  });

  test("a directory has the tokenizer and the rest of its base", async () => {
    const out = join(folder, "copied");
    await merge(base, fixture("lora").path, out);
    for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json"])
      expect(readFileSync(join(out, name))).toEqual(readFileSync(join(base, name)));
    expect(existsSync(join(out, "llama-3.gguf"))).toBe(false);
    const half = join(folder, "half");
    await merge(base, fixture("lora").path, half, { format: "f16" });
    expect(JSON.parse(readFileSync(join(half, "config.json"), "utf8"))).toMatchObject({ torch_dtype: "float16", hidden_size: 32 });
  });

  test("appear whole or not at all", async () => {
    const controller = new AbortController();
    const stop = { signal: controller.signal, onProgress: () => controller.abort(new Error("stop")) };
    await expect(merge(base, fixture("lora").path, join(folder, "stopped"), stop)).rejects.toThrow("stop");
    await expect(merge(join(base, "llama-3.gguf"), fixture("lora").path, join(folder, "stopped.gguf"), stop)).rejects.toThrow("stop");
    expect(readdirSync(folder).filter((name) => /stopped|\.part$/.test(name))).toEqual([]);
  });

  test.each([
    ["x.gguf", base, /the model is a directory/],
    ["x", join(base, "llama-3.gguf"), /ends in \.gguf/],
    ["taken", base, /is there already/],
  ])("%s is refused", async (name, from, message) => {
    writeFileSync(join(folder, "taken"), "");
    await expect(merge(from, fixture("lora").path, join(folder, name))).rejects.toMatchObject({
      code: "FRUGAL_BAD_ARGUMENT",
      message: expect.stringMatching(message) as string,
    });
  });

  test("the base is not written over, and unknown formats name the nearest", async () => {
    await expect(merge(base, fixture("lora").path, base)).rejects.toThrow(/is the base itself/);
    await expect(merge(base, fixture("lora").path, join(folder, "y"), { format: "Q4K" })).rejects.toThrow(/did you mean Q4_K/);
    await expect(merge(base, fixture("lora").path, join(folder, "y"), { format: "Q8_0" })).rejects.toThrow(/safetensors has no dtype/);
    expect(existsSync(join(folder, "y"))).toBe(false);
  });

  test("learned rows in front of the text cannot be merged", async () => {
    await expect(merge(base, fixture("prefix").path, join(folder, "z"))).rejects.toMatchObject({ code: "FRUGAL_UNSUPPORTED" });
  });
});
