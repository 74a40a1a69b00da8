// What is written against the files that llama.cpp's own converter made of the same checkpoints (testing/oracles/families_gguf.py).
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { openDirectory } from "../formats/directory.ts";
import { openFile } from "../formats/files.ts";
import { type GgufFile, readGguf } from "../formats/gguf/read.ts";
import { memorySink } from "../formats/sink.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { bytesSource } from "../tensor/source.ts";
import { decodeTensor } from "../tensor/stored.ts";
import type { MetadataValue } from "../tensor/strings.ts";
import { openModel } from "./index.ts";
import { exportGguf, type GgufExport, writeLlamaGguf } from "./llama-gguf.ts";

const folder = (name: string): string => fileURLToPath(new URL(`../../testing/fixtures/families/${name}`, import.meta.url));

async function written(name: string, options: GgufExport): Promise<GgufFile> {
  const directory = await openDirectory(folder(name));
  const sink = memorySink(`${name}.gguf`);
  await writeLlamaGguf(directory, sink, options);
  await directory.close();
  return readGguf(bytesSource(sink.name, sink.bytes()));
}

/** Of the converter's own: names, versions and counts that it guesses from the path. */
const guessed = /^general\.(?:name|version|basename|size_label|file_type)$/;

describe("llama-3 as GGUF", async () => {
  const ours = await written("llama-3", { format: formatByName("BF16") });
  const theirs = await readGguf(await openFile(`${folder("llama-3")}/llama-3.gguf`));

  it("has the converter's metadata", () => {
    const of = (file: GgufFile): Record<string, unknown> =>
      Object.fromEntries([...file.metadata].filter(([key]) => !guessed.test(key)).map(([key, value]) => [key, plain(value)]));
    // The converter leaves out what is false.
    expect(of(ours)).toEqual({ ...of(theirs), "tokenizer.ggml.add_eos_token": false });
    for (const [key, type] of theirs.types) if (ours.types.has(key)) expect([key, ours.types.get(key)]).toEqual([key, type]);
  });

  it("has the converter's tensors, bit by bit but for computed ones", async () => {
    expect([...ours.tensors.keys()].toSorted()).toEqual([...theirs.tensors.keys()].toSorted());
    for (const [name, tensor] of theirs.tensors) {
      const own = ours.tensors.get(name)!;
      expect([name, own.shape, own.format.name]).toEqual([name, tensor.shape, tensor.format.name]);
      if (name === "rope_freqs.weight") {
        const exact = await decodeTensor(own);
        (await decodeTensor(tensor)).forEach((v, i) => expect(Math.abs(exact[i]! / v - 1)).toBeLessThan(1e-6));
        continue;
      }
      const bytes = await tensor.source.read(tensor.offset, tensor.byteLength);
      expect(await own.source.read(own.offset, own.byteLength), name).toEqual(bytes);
    }
  });
});

const plain = (value: MetadataValue): unknown =>
  typeof value === "object" && "bytes" in value ? [[...value.bytes], [...value.offsets]] : value;

describe("options", () => {
  it("the format of matrices; vectors stay F32", async () => {
    const file = await written("llama-3", { format: formatByName("Q8_0") });
    expect(file.tensors.get("blk.0.attn_q.weight")!.format.name).toBe("Q8_0");
    expect(file.tensors.get("blk.0.attn_norm.weight")!.format.name).toBe("F32");
    const exact = await written("llama-3", { format: formatByName("F32") });
    const [a, b] = [
      await decodeTensor(file.tensors.get("token_embd.weight")!),
      await decodeTensor(exact.tensors.get("token_embd.weight")!),
    ];
    a.forEach((v, i) => expect(Math.abs(v - b[i]!)).toBeLessThan(0.01));
    expect(openModel({ kind: "gguf", name: "x", metadata: file.metadata, tensors: file.tensors }).parameters).toBe(
      openModel({ kind: "gguf", name: "x", metadata: exact.metadata, tensors: exact.tensors }).parameters,
    );
  });

  it("further metadata", async () => {
    const metadata = new Map<string, MetadataValue>([["general.license", "cdla-sharing-1.0"]]);
    const file = await written("llama-3", { format: formatByName("F16"), metadata });
    expect(file.metadata.get("general.license")).toBe("cdla-sharing-1.0");
  });

  it("a signal that was aborted writes nothing", async () => {
    const signal = AbortSignal.abort();
    await expect(written("llama-3", { format: formatByName("F16"), signal })).rejects.toThrow(/aborted/);
  });
});

it.each([
  ["llama-2", "Q8_0", /tokenizer\.json: .* cannot be said in a GGUF file/],
  ["llama-3", "Q4_K", /not whole blocks of 256 as Q4_K needs/],
  ["llama-yarn", "F16", /rotary scaling "yarn" cannot be written/],
  ["gpt-2", "F16", /model_type "gpt2" cannot be written/],
])("refuses %s in %s", async (name, format, message) => {
  await expect(written(name, { format: formatByName(format) })).rejects.toThrow(message);
});

it("refuses formats that are only read", async () => {
  const { encode: _, ...format } = formatByName("F16");
  await expect(written("llama-3", { format })).rejects.toThrow(/F16 is a format that is only read/);
});

describe("exportGguf", () => {
  const file = join(mkdtempSync(join(tmpdir(), "frugal-gguf-")), "model.gguf");
  afterAll(() => rmSync(dirname(file), { recursive: true }));

  it("writes a file that opens, in Q8_0 where no format is named", async () => {
    await exportGguf(folder("llama-3"), file, { metadata: { "general.name": "tiny" } });
    const written = await readGguf(await openFile(file));
    expect(written.metadata.get("general.name")).toBe("tiny");
    expect(written.tensors.get("blk.1.ffn_up.weight")!.format.name).toBe("Q8_0");
    await written.close();
    await exportGguf(folder("llama-3"), file, { format: "F16" });
    const again = await readGguf(await openFile(file));
    expect(again.tensors.get("blk.1.ffn_up.weight")!.format.name).toBe("F16");
    await again.close();
  });

  it("leaves the old file where it fails, and names what is not known", async () => {
    const before = readFileSync(file);
    await expect(exportGguf(folder("llama-3"), file, { format: "Q4_K" })).rejects.toThrow(/whole blocks of 256/);
    await expect(exportGguf(folder("llama-3"), file, { format: "Q8_1" })).rejects.toThrow(/did you mean Q8_0/);
    await expect(exportGguf(folder("llama-3"), file, { formats: "F16" } as object)).rejects.toThrow(/did you mean "?format/);
    await expect(exportGguf(folder("nobody"), file)).rejects.toThrow(/does not exist/);
    expect(readFileSync(file).equals(before)).toBe(true);
    expect(readdirSync(dirname(file))).toEqual(["model.gguf"]);
  });
});
