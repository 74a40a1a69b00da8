import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FrugalError } from "../../tensor/error.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import { bytesSource } from "../../tensor/source.ts";
import { decodeTensor } from "../../tensor/stored.ts";
import { type MetadataValue, stringAt, type StringTable, stringTable } from "../../tensor/strings.ts";
import { copyOf, memorySink, type TensorToWrite } from "../sink.ts";
import { type GgufFile, readGguf } from "./read.ts";
import { openGguf, splitName } from "./split.ts";
import type { GgufValueType } from "./values.ts";
import { writeGguf } from "./write.ts";

const F32 = formatByName("F32");
const Q8_0 = formatByName("Q8_0");

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const tensor = (name: string, shape: number[], bytes: TensorToWrite["bytes"], format = F32): TensorToWrite => ({
  name,
  shape,
  format,
  bytes,
});

const everyKind = new Map<string, MetadataValue>([
  ["general.architecture", "test"],
  ["test.context_length", 4096],
  ["test.rope.freq_base", 10000],
  ["test.negative", -3],
  ["test.large", 2 ** 40],
  ["test.huge", 2n ** 63n],
  ["test.below", -(2n ** 62n)],
  ["test.flag", true],
  ["test.empty", ""],
  ["test.u8", Uint8Array.of(1, 255)],
  ["test.i8", Int8Array.of(-1, 1)],
  ["test.u16", Uint16Array.of(1, 65535)],
  ["test.i16", Int16Array.of(-2, 2)],
  ["test.u32", Uint32Array.of(7)],
  ["test.i32", Int32Array.of(-7, 7, 9)],
  ["test.f32", Float32Array.of(0.5, -1)],
  ["test.f64", Float64Array.of(0.1)],
  ["test.u64", BigUint64Array.of(2n ** 64n - 1n)],
  ["test.i64", BigInt64Array.of(-(2n ** 63n))],
  ["test.flags", [true, false, true]],
  ["test.strings", stringTable(["", "a", "\u2581the", "\u{1f600}", "x".repeat(300)])],
  ["test.nested", [Int32Array.of(1, 2), Int32Array.of(3)]],
]);

async function written(
  metadata: Map<string, MetadataValue>,
  tensors: TensorToWrite[],
  types?: Map<string, GgufValueType>,
): Promise<Uint8Array> {
  const sink = memorySink("test");
  await writeGguf(sink, { metadata, tensors, ...(types && { types }) });
  return sink.bytes();
}
const reread = async (bytes: Uint8Array): Promise<GgufFile> => readGguf(bytesSource("test.gguf", bytes));

describe("gguf", () => {
  it("reads back every kind of metadata", async () => {
    const file = await reread(await written(everyKind, []));
    expect(file.version).toBe(3);
    expect([...file.metadata]).toEqual([...everyKind]);
    expect(file.types.get("test.rope.freq_base")).toBe("f32");
    expect(file.types.get("test.context_length")).toBe("u32");
    expect(file.types.get("test.huge")).toBe("u64");
    expect(stringAt(file.metadata.get("test.strings") as StringTable, 2)).toBe("\u2581the");
  });

  it("keeps the types it is told", async () => {
    const types = new Map<string, GgufValueType>([
      ["test.a", "i16"],
      ["test.b", "f64"],
      ["test.c", "u8"],
    ]);
    const file = await reread(
      await written(
        new Map([
          ["test.a", -5],
          ["test.b", 0.1],
          ["test.c", 200],
        ]),
        [],
        types,
      ),
    );
    expect(file.types).toEqual(types);
    expect([...file.metadata.values()]).toEqual([-5, 0.1, 200]);
    await expect(written(new Map([["test.c", 256]]), [], types)).rejects.toThrow(/out of range for u8/);
  });

  it("reads back tensors, aligned as told, and refuses misfits", async () => {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield floats(1, 2);
      yield floats(3, 4, 5, 6);
    }
    for (const alignment of [32, 256]) {
      const bytes = await written(new Map([["general.alignment", alignment]]), [
        tensor("first", [3], floats(7, 8, 9)),
        tensor("chunked", [3, 2], chunks()),
        tensor("blocks", [1, 32], new Uint8Array(34), Q8_0),
        tensor("scalar", [], floats(11)),
      ]);
      const file = await reread(bytes);
      expect(file.alignment).toBe(alignment);
      for (const { offset } of file.tensors.values()) expect(offset % alignment).toBe(0);
      expect(file.tensors.get("chunked")!.shape).toEqual([3, 2]);
      expect([...(await decodeTensor(file.tensors.get("chunked")!))]).toEqual([1, 2, 3, 4, 5, 6]);
      expect(file.tensors.get("blocks")!.byteLength).toBe(34);
      expect([...(await decodeTensor(file.tensors.get("scalar")!))]).toEqual([11]);
    }
    await expect(written(new Map(), [tensor("a", [4], floats(1))])).rejects.toThrow(/needs 16 bytes as F32 but its data has 4/);
    await expect(written(new Map(), [tensor("a", [1], floats(1, 2))])).rejects.toThrow(/has at least 8/);
    await expect(written(new Map(), [tensor("a", [33], new Uint8Array(34), Q8_0)])).rejects.toThrow(/whole blocks of 32/);
    await expect(written(new Map(), [tensor("a", [1], floats(1)), tensor("a", [1], floats(1))])).rejects.toThrow(/is there twice/);
    await expect(written(new Map(), [tensor("n".repeat(64), [1], floats(1))])).rejects.toThrow(/64 bytes/);
    await expect(written(new Map([["general.alignment", 48]]), [])).rejects.toThrow(/power of two/);
    await expect(written(new Map(), [tensor("a", [1], new Uint8Array(1), formatByName("BOOL"))])).rejects.toThrow(/GGUF has no number for/);
  });

  it("reads version 2", async () => {
    const bytes = await written(new Map([["general.architecture", "test"]]), [tensor("a", [1], floats(1))]);
    bytes[4] = 2;
    expect((await reread(bytes)).version).toBe(2);
  });
});

describe("gguf, bad files", () => {
  const build = (edit: (view: DataView, bytes: Uint8Array) => void) => async (): Promise<GgufFile> => {
    const bytes = await written(new Map([["ab", 1]]), [tensor("one", [8], new Uint8Array(32)), tensor("two", [8], new Uint8Array(32))]);
    edit(new DataView(bytes.buffer), bytes);
    return reread(bytes);
  };
  // Header 24, key 8 + 2, type 4, value 4 = 42; tensors of 8 + 3 + 4 + 8 + 4 + 8 = 35 bytes from 42 and 77; data at 128.
  const cases: [string, (view: DataView, bytes: Uint8Array) => void, RegExp, string][] = [
    ["magic", (view) => view.setUint8(0, 0x50), /begins with bytes 50 47 55 46, not with GGUF/, "FRUGAL_BAD_FILE"],
    ["big endian", (view) => view.setUint32(4, 3, false), /big-endian/, "FRUGAL_UNSUPPORTED"],
    ["version 1", (view) => view.setUint32(4, 1, true), /version 1/, "FRUGAL_UNSUPPORTED"],
    ["version 9", (view) => view.setUint32(4, 9, true), /version 9, but only 2 and 3/, "FRUGAL_UNSUPPORTED"],
    ["tensor count", (view) => view.setUint32(8, 1e9, true), /a directory of 1000000000 tensors needs/, "FRUGAL_BAD_FILE"],
    ["count beyond 2^53", (view) => view.setUint32(12, 1 << 30, true), /more than any file holds/, "FRUGAL_BAD_FILE"],
    ["key count", (view) => view.setUint32(16, 1e6, true), /metadata with 1000000 keys needs/, "FRUGAL_BAD_FILE"],
    ["key length", (view) => view.setUint32(24, 70000, true), /metadata key 0 has 70000 bytes/, "FRUGAL_BAD_FILE"],
    ["empty key", (view) => view.setUint32(24, 0, true), /metadata key 0 is empty/, "FRUGAL_BAD_FILE"],
    ["value type", (view) => view.setUint32(34, 13, true), /at byte 34, metadata ab has the unknown value type 13/, "FRUGAL_UNSUPPORTED"],
    [
      "boolean",
      (view) => (view.setUint32(34, 7, true), view.setUint8(38, 2)),
      /at byte 38, metadata ab is a boolean with value 2/,
      "FRUGAL_BAD_FILE",
    ],
    ["same name", (_, bytes) => bytes.copyWithin(85, 50, 53), /at byte 77, tensor one is there twice/, "FRUGAL_BAD_FILE"],
    ["dimension count", (view) => view.setUint32(53, 9, true), /tensor one has 9 dimensions/, "FRUGAL_BAD_FILE"],
    [
      "dimension",
      (view) => view.setUint32(57, 1e9, true),
      /tensor one \(F32, \[1000000000\]\) has its data at bytes 128 to 4000000128, but the file has 192/,
      "FRUGAL_BAD_FILE",
    ],
    [
      "tensor type",
      (view) => view.setUint32(65, 99, true),
      /at byte 65, tensor one is stored in a format Frugal cannot read \(.*99/,
      "FRUGAL_UNSUPPORTED",
    ],
    [
      "half a block",
      (view) => view.setUint32(65, 12, true),
      /tensor one \[8\] as Q4_K has rows of 8 values, not whole blocks of 256/,
      "FRUGAL_BAD_FILE",
    ],
    ["misaligned data", (view) => view.setUint32(69, 8, true), /offset 8, not a multiple of the alignment 32/, "FRUGAL_BAD_FILE"],
    ["overlapping data", (view) => view.setUint32(104, 0, true), /the data of tensor two overlaps that of tensor one/, "FRUGAL_BAD_FILE"],
    ["data outside", (view) => view.setUint32(104, 64, true), /tensor two .* bytes 192 to 224, but the file has 192/, "FRUGAL_BAD_FILE"],
  ];
  it.each(cases)("%s", async (_, edit, message, code) => {
    const error: unknown = await build(edit)().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(FrugalError);
    expect((error as FrugalError).message).toMatch(message);
    expect((error as FrugalError).code).toBe(code);
    expect((error as FrugalError).message).toMatch(/^test\.gguf: .*; .*/s);
  });

  it("a key that is there twice, a bad alignment, and nested arrays", async () => {
    const twice = await written(
      new Map([
        ["ab", 1],
        ["ac", 2],
      ]),
      [],
    );
    twice[51] = "b".charCodeAt(0);
    await expect(reread(twice)).rejects.toThrow(/metadata key ab is there twice/);
    const aligned = await written(new Map([["general.alignment", 32]]), []);
    aligned[24 + 8 + 17 + 4] = 33;
    await expect(reread(aligned)).rejects.toThrow(/general.alignment is 33 \(u32\), not a power of two/);
    let deep: MetadataValue = [Int32Array.of(1)];
    for (let i = 0; i < 8; i++) deep = [deep];
    await expect(reread(await written(new Map([["ab", deep]]), []))).rejects.toThrow(/nests arrays more than 4 deep/);
  });

  it("a file cut at any byte", async () => {
    const bytes = await written(everyKind, [tensor("one", [8], new Uint8Array(32))]);
    for (let length = 0; length < bytes.length; length++) {
      const error: unknown = await reread(bytes.slice(0, length)).catch((caught: unknown) => caught);
      expect(error, `cut at ${length}`).toBeInstanceOf(FrugalError);
    }
  });

  it("is stopped by a signal", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(readGguf(bytesSource("x", await written(everyKind, [])), { signal })).rejects.toThrow("enough");
  });
});

describe("gguf, on disk", () => {
  let directory: string;
  beforeAll(async () => void (directory = await mkdtemp(join(tmpdir(), "frugal-gguf-"))));
  afterAll(() => rm(directory, { recursive: true }));

  it("parts are one model, whichever is opened, and copy to one file", async () => {
    for (let part = 1; part <= 3; part++) {
      const metadata = new Map<string, MetadataValue>([
        ["split.no", part - 1],
        ["split.count", 3],
        ["split.tensors.count", 3],
      ]);
      if (part === 1) metadata.set("general.architecture", "test");
      await writeGguf(join(directory, splitName("m", part, 3)), { metadata, tensors: [tensor(`t${part}`, [1], floats(part))] });
    }
    for (let part = 1; part <= 3; part++) {
      const file = await openGguf(join(directory, splitName("m", part, 3)));
      expect([...file.tensors.keys()]).toEqual(["t1", "t2", "t3"]);
      expect(await Promise.all([...file.tensors.values()].map(async (t) => (await decodeTensor(t))[0]))).toEqual([1, 2, 3]);
      expect([...file.metadata.keys()].filter((key) => key.startsWith("split."))).toEqual([]);
      await writeGguf(join(directory, "whole.gguf"), { ...file, tensors: [...file.tensors.values()].map((t) => copyOf(t)) });
      await file.close();
    }
    const whole = await openGguf(join(directory, "whole.gguf"));
    expect(whole.tensors.size).toBe(3);
    expect(whole.tensors.get("t3")!.source.path).toBe(join(directory, "whole.gguf"));
    await whole.close();
    await rm(join(directory, splitName("m", 2, 3)));
    await expect(openGguf(join(directory, splitName("m", 1, 3)))).rejects.toThrow(/m-00002-of-00003\.gguf: part 2 of 3 is missing/);
    await writeFile(join(directory, "renamed.gguf"), await readFile(join(directory, splitName("m", 1, 3))));
    await expect(openGguf(join(directory, "renamed.gguf"))).rejects.toThrow(
      /is part 1 of 3 but its name does not end in -00001-of-00003\.gguf/,
    );
  });

  it("a failed or stopped write leaves the old file and nothing else", async () => {
    const path = join(directory, "kept.gguf");
    await writeFile(path, "old");
    const controller = new AbortController();
    async function* stopping(): AsyncGenerator<Uint8Array> {
      yield floats(1);
      controller.abort(new Error("stop"));
      yield floats(2);
    }
    const before = (await readdir(directory)).length;
    const tensors = [tensor("a", [2], stopping())];
    await expect(writeGguf(path, { metadata: new Map(), tensors }, { signal: controller.signal })).rejects.toThrow("stop");
    expect(await readFile(path, "utf8")).toBe("old");
    expect((await readdir(directory)).length).toBe(before);
  });

  it("tells its progress", async () => {
    const seen: number[] = [];
    const sink = memorySink("x");
    await writeGguf(
      sink,
      { metadata: new Map(), tensors: [tensor("a", [1], floats(1)), tensor("b", [1], floats(1))] },
      { onProgress: ({ written: n }) => seen.push(n) },
    );
    expect(seen).toEqual([4, 8]);
  });
});

const vocabularies = fileURLToPath(new URL("../../../../shared/data/tokenizers/llama.cpp-vocabs", import.meta.url));

describe("gguf, files of others", () => {
  it.skipIf(!existsSync(vocabularies) && process.env["CI"] === undefined)(
    "vocabularies of llama.cpp (skipped without ../shared/data)",
    async () => {
      const names = (await readdir(vocabularies)).filter((name) => name.endsWith(".gguf"));
      expect(names.length).toBeGreaterThanOrEqual(4);
      for (const name of names) {
        const path = join(vocabularies, name);
        const file = await openGguf(path);
        const tokens = file.metadata.get("tokenizer.ggml.tokens") as StringTable;
        expect(tokens.length, name).toBeGreaterThan(20_000);
        const types = file.metadata.get("tokenizer.ggml.token_type");
        expect(types, name).toHaveLength(tokens.length);
        const sink = memorySink(name);
        await writeGguf(sink, { ...file, tensors: [] });
        const original = await readFile(path);
        // Some were written without padding after the header.
        expect(Buffer.compare(sink.bytes().subarray(0, original.length), original), `${name} is written as it was`).toBe(0);
        await file.close();
      }
    },
  );
});
