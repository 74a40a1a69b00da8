/** Files in other formats: what is in them, where they may come from and go to, and what is refused. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { distance, logitsOf } from "../../testing/adapters.ts";
import { wideValues, writeWideModel } from "../../testing/quantised.ts";
import { exportGguf } from "../models/llama-gguf.ts";
import { openFile } from "../formats/files.ts";
import { type GgufFile, readGguf } from "../formats/gguf/read.ts";
import { openGguf } from "../formats/gguf/split.ts";
import { memorySink } from "../formats/sink.ts";
import { openModel } from "../models/index.ts";
import { FrugalError } from "../tensor/error.ts";
import { storedBytes } from "../tensor/format.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { bytesSource, type ByteSource } from "../tensor/source.ts";
import { decodeTensor } from "../tensor/stored.ts";
import { quantize, type QuantizeOptions } from "./quantize.ts";

const stories = fileURLToPath(new URL("../../models/stories/stories.gguf", import.meta.url));
const families = fileURLToPath(new URL("../../testing/fixtures/families/", import.meta.url));

let folder: string;
let wide: string;
const values = wideValues();
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "frugal-quantize-"));
  wide = join(folder, "wide.gguf");
  await writeWideModel(wide, values, formatByName("F32"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Through memory on both sides, as where there is no file system. */
async function inMemory(path: string, options: Omit<QuantizeOptions, "out">): Promise<GgufFile & { readonly bytes: Uint8Array }> {
  const sink = memorySink("out.gguf");
  const source = { name: "model.gguf", files: new Map([["model.gguf", bytesSource("model.gguf", readFileSync(path))]]) };
  const { after, formats } = await quantize(source, { ...options, out: sink });
  const bytes = sink.bytes();
  expect(after.bytes).toBe(bytes.length);
  const file = await readGguf(bytesSource("out.gguf", bytes));
  const counts: Record<string, number> = {};
  for (const { format } of file.tensors.values()) counts[format.name] = (counts[format.name] ?? 0) + 1;
  expect(formats).toEqual(counts);
  return { ...file, bytes };
}

describe("what is written", () => {
  test.each(["F16", "BF16", "Q8_0", "Q4_0", "Q5_1", "Q4_K_M", "q6_k"])("%s: every tensor is its numbers in its format", async (format) => {
    const file = await inMemory(wide, { format });
    expect([...file.tensors.keys()]).toEqual([...values.keys()]);
    for (const [name, { format: own, source, offset, byteLength, shape }] of file.tensors) {
      if (shape.length === 1) expect(own.name).toBe("F32");
      const expected = new Uint8Array(storedBytes(own, values.get(name)!.length));
      own.encode!(values.get(name)!, expected);
      expect(Buffer.compare(await source.read(offset, byteLength), expected), name).toBe(0);
    }
  });

  test("the output head gets more bits, but not with pure", async () => {
    const head = async (options: Omit<QuantizeOptions, "out">): Promise<string> =>
      (await inMemory(wide, options)).tensors.get("output.weight")!.format.name;
    expect(await head({ format: "Q4_0" })).toBe("Q6_K");
    expect(await head({ format: "Q4_0", pure: true })).toBe("Q4_0");
  });

  test("metadata and tokenizer stay as they were, but for the file's type", async () => {
    const before = await openGguf(stories);
    const after = await inMemory(stories, { format: "Q4_0" });
    expect([...after.metadata.keys()]).toEqual([...before.metadata.keys(), "general.file_type"]);
    for (const [key, value] of before.metadata) expect([key, after.metadata.get(key)]).toEqual([key, value]);
    expect([...after.types]).toEqual([...before.types, ["general.file_type", "u32"]]);
    expect(after.metadata.get("general.file_type")).toBe(2);
    await before.close();
  });

  test("a coarser model answers nearly as before", async () => {
    const ids = [0, 324, 65, 11];
    const logits = async (file: GgufFile): Promise<Float32Array> => logitsOf(openModel({ kind: "gguf", name: "x", ...file }), ids);
    const before = await openGguf(stories);
    const wanted = await logits(before);
    const far = async (format: string): Promise<number> => distance(await logits(await inMemory(stories, { format })), wanted);
    const [same, fine, coarse] = [await far("Q8_0"), await far("Q5_0"), await far("Q4_0")];
    expect(same).toBe(0);
    expect(fine).toBeLessThan(coarse);
    expect(coarse).toBeLessThan(0.25 * Math.max(...wanted.map(Math.abs)));
    await before.close();
  });

  test("a directory in Hugging Face layout becomes the file that exportGguf makes", async () => {
    const [out, exported] = [join(folder, "llama.gguf"), join(folder, "exported.gguf")];
    await quantize(`${families}llama-3`, { format: "F16", out });
    await exportGguf(`${families}llama-3`, exported, { format: "F16" });
    const [ours, theirs] = [await openGguf(out), await openGguf(exported)];
    expect([...ours.tensors.keys()]).toEqual([...theirs.tensors.keys()]);
    for (const [name, tensor] of theirs.tensors)
      expect([name, await decodeTensor(ours.tensors.get(name)!)]).toEqual([name, await decodeTensor(tensor)]);
    expect([ours.metadata.get("general.file_type"), theirs.metadata.get("general.file_type")]).toEqual([1, undefined]);
    await Promise.all([ours.close(), theirs.close()]);
  });

  test("its rows of 32 values fall back to F16 under formats of 256", async () => {
    const { formats } = await quantize(`${families}llama-3`, { format: "Q4_K_M", out: join(folder, "narrow.gguf") });
    expect(Object.keys(formats)).not.toContain("Q4_K");
  });
});

describe("on the way", () => {
  test("nothing larger than a few rows is read", async () => {
    const file = await openFile(stories);
    let largest = 0;
    const source: ByteSource = {
      ...file,
      async read(offset, length) {
        largest = Math.max(largest, length);
        return file.read(offset, length);
      },
    };
    const progress: number[] = [];
    await quantize(
      { name: "stories", files: new Map([["stories.gguf", source]]) },
      { format: "Q4_0", out: memorySink("out.gguf"), onProgress: ({ written, total }) => progress.push(written / total) },
    );
    expect(largest).toBeLessThanOrEqual(1 << 20);
    expect(progress.at(-1)).toBe(1);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(progress.length).toBeGreaterThan(50);
  });

  test("an abort leaves the old file as it was, and nothing beside it", async () => {
    const place = mkdtempSync(join(folder, "abort-"));
    const out = join(place, "out.gguf");
    writeFileSync(out, "the old one");
    const abort = new AbortController();
    const work = quantize(stories, { format: "Q4_0", out, signal: abort.signal, onProgress: () => abort.abort(new Error("enough")) });
    await expect(work).rejects.toThrow("enough");
    expect(readdirSync(place)).toEqual(["out.gguf"]);
    expect(readFileSync(out, "utf8")).toBe("the old one");
  });

  test("a timer's abort is heard though bytes in memory never wait", async () => {
    const source = { name: "x", files: new Map([["x.gguf", bytesSource("x.gguf", readFileSync(stories))]]) };
    const work = quantize(source, { format: "Q4_1", out: memorySink("out"), signal: AbortSignal.timeout(5) });
    await expect(work).rejects.toMatchObject({ name: "TimeoutError" });
  });

  test("a sink is aborted where something fails before the first byte", async () => {
    let aborted = 0;
    const out = { ...memorySink("out"), abort: async () => void aborted++ };
    await expect(quantize(`${families}gpt-2`, { format: "Q8_0", out })).rejects.toThrow(/model_type "gpt2" cannot be written/);
    expect(aborted).toBe(1);
  });

  test("a number that is not finite is refused by the tensor's name", async () => {
    const broken = new Map(values);
    broken.set(
      "blk.1.ffn_up.weight",
      values.get("blk.1.ffn_up.weight")!.map((value, i) => (i === 70_000 ? NaN : value)),
    );
    const path = join(folder, "nan.gguf");
    await writeWideModel(path, broken, {
      ...formatByName("F32"),
      encode: (from, to) => to.set(new Uint8Array(from.buffer, from.byteOffset, from.byteLength)),
    });
    const out = join(folder, "nan-out.gguf");
    await expect(quantize(path, { format: "Q4_0", out })).rejects.toThrow(
      /tensor blk\.1\.ffn_up\.weight, from value 0 on: Q4_0: value 70000 is NaN/,
    );
    expect(readdirSync(folder).filter((name) => name.startsWith("nan-out"))).toEqual([]);
  });
});

test.each<[string, unknown, Partial<QuantizeOptions> & Record<string, unknown>, string, RegExp]>([
  ["an unknown format", stories, { format: "Q4_2" }, "FRUGAL_BAD_ARGUMENT", /format is "Q4_2"; did you mean Q4_0\?/],
  ["no format", stories, { format: undefined as unknown as string }, "FRUGAL_BAD_ARGUMENT", /format is missing; it may be F32/],
  ["an unknown option", stories, { fromat: "Q4_0" }, "FRUGAL_BAD_ARGUMENT", /unknown option "fromat"; did you mean format\?/],
  ["no place", stories, { out: undefined as unknown as string }, "FRUGAL_BAD_ARGUMENT", /out is missing/],
  ["another ending", stories, { out: "model.bin" }, "FRUGAL_BAD_ARGUMENT", /name one that ends in \.gguf/],
  ["the model itself", stories, { out: stories }, "FRUGAL_BAD_ARGUMENT", /is the model itself/],
  ["no model", "nowhere.gguf", {}, "FRUGAL_NOT_FOUND", /there is no such file/],
])("%s is refused", async (_, source, given, code, message) => {
  const options = { format: "Q4_0", out: join(folder, "never.gguf"), ...given };
  const failure = await quantize(source as string, options).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(FrugalError);
  expect((failure as FrugalError).code).toBe(code);
  expect((failure as FrugalError).message).toMatch(message);
});

const llamaQuantize = process.env["LLAMA_QUANTIZE"];

/** Formats whose encoder is ggml's own, bit by bit. Of others the number of each tensor's format is compared in tensor-formats.test.ts. */
test.skipIf(llamaQuantize === undefined).each(["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])(
  "%s: the bytes of llama-quantize (LLAMA_QUANTIZE names it)",
  async (format) => {
    const path = join(folder, "theirs.gguf");
    execFileSync(llamaQuantize!, ["--pure", wide, path, format, "1"], { stdio: "ignore" });
    const theirs = await openGguf(path);
    const ours = await inMemory(wide, { format, pure: true });
    expect(ours.metadata.get("general.file_type")).toBe(theirs.metadata.get("general.file_type"));
    for (const [name, tensor] of theirs.tensors) {
      const own = ours.tensors.get(name)!;
      expect([name, own.format.name]).toEqual([name, tensor.format.name]);
      const read = ({ source, offset, byteLength }: typeof own): Promise<Uint8Array> => source.read(offset, byteLength);
      expect(Buffer.compare(await read(own), await read(tensor)), name).toBe(0);
    }
    await theirs.close();
  },
);
