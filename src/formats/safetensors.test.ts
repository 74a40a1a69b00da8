import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FrugalError } from "../tensor/error.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { bytesSource } from "../tensor/source.ts";
import { decodeTensor } from "../tensor/stored.ts";
import { readSafetensors, type SafetensorsFile } from "./safetensors.ts";
import { encodeSafetensors, writeSafetensors } from "./safetensors-write.ts";
import { folderOf } from "./folder.ts";
import { openSafetensorsDirectory } from "./shards.ts";
import { memorySink, type TensorToWrite } from "./sink.ts";

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const tensor = (name: string, shape: number[], bytes: TensorToWrite["bytes"], format = "F32"): TensorToWrite => ({
  name,
  shape,
  format: formatByName(format),
  bytes,
});
const read = (bytes: Uint8Array): Promise<SafetensorsFile> => readSafetensors(bytesSource("test.safetensors", bytes));

/** A file with this header and so many bytes of data. */
function file(header: unknown, data: number, length?: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setUint32(0, length ?? json.length, true);
  bytes.set(json, 8);
  return bytes;
}
const entry = (dtype: unknown, shape: unknown, ...offsets: unknown[]): unknown => ({ dtype, shape, data_offsets: offsets });

describe("safetensors", () => {
  it("reads back what it writes, aligned", async () => {
    const metadata = new Map([["format", "pt"]]);
    const bytes = await encodeSafetensors(
      [
        tensor("mask", [3], Uint8Array.of(1, 0, 1), "BOOL"),
        tensor("half", [2], Uint8Array.of(0, 0x3c, 0, 0x40), "F16"),
        tensor("matrix", [2, 2], floats(1, 2, 3, 4)),
        tensor("scalar", [], floats(5)),
        tensor("nothing", [0, 7], new Uint8Array()),
        tensor("ids", [2], new Uint8Array(BigInt64Array.of(7n, -7n).buffer), "I64"),
      ],
      metadata,
    );
    const { tensors, metadata: kept } = await read(bytes);
    expect(kept).toEqual(metadata);
    const decoded = Object.fromEntries(
      await Promise.all([...tensors].map(async ([name, t]) => [name, [...(await decodeTensor(t))]] as const)),
    );
    expect(decoded).toEqual({ mask: [1, 0, 1], half: [1, 2], matrix: [1, 2, 3, 4], scalar: [5], nothing: [], ids: [7, -7] });
    for (const { offset, format } of tensors.values()) expect(offset % format.blockBytes).toBe(0);
    expect(tensors.get("matrix")!.shape).toEqual([2, 2]);
  });

  it("refuses to write what it could not read", async () => {
    await expect(encodeSafetensors([tensor("a", [2], floats(1))])).rejects.toThrow(/needs 8 bytes as F32 but its data has 4/);
    await expect(encodeSafetensors([tensor("a", [1], floats(1)), tensor("a", [1], floats(1))])).rejects.toThrow(/name a is taken/);
    await expect(encodeSafetensors([tensor("__metadata__", [1], floats(1))])).rejects.toThrow(/is taken/);
    await expect(encodeSafetensors([tensor("a", [32], new Uint8Array(34), "Q8_0")])).rejects.toThrow(
      /a is Q8_0, which safetensors has no dtype for/,
    );
    const progress: number[] = [];
    await writeSafetensors(memorySink("x"), [tensor("a", [1], floats(1)), tensor("b", [1], floats(1))], new Map(), {
      onProgress: ({ written }) => progress.push(written),
    });
    expect(progress).toEqual([4, 8]);
    const signal = AbortSignal.abort(new Error("stop"));
    await expect(writeSafetensors(memorySink("x"), [tensor("a", [1], floats(1))], new Map(), { signal })).rejects.toThrow("stop");
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["too short", new Uint8Array(7), /has 7 bytes, fewer than the 8/],
    ["header beyond the file", file({}, 0, 50), /has a header of 50 bytes but ends after 10/],
    ["huge header", file({}, 0, 2 ** 31), /header length of 2147483648, above/],
    ["not an object", file("[]", 0), /does not begin with \{/],
    ["bad JSON", file('{"a" 1}', 0), /test\.safetensors \(header\): line 1, column 6/],
    [
      "same name",
      file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
      /the key "a" is there twice/,
    ],
    ["no entry", file({ a: 1 }, 0), /tensor a has no entry/],
    ["no dtype", file({ a: entry(1, [1], 0, 1) }, 1), /tensor a has no dtype/],
    ["negative shape", file({ a: entry("U8", [-1], 0, 1) }, 1), /shape that is not a short list of whole numbers/],
    ["fraction", file({ a: entry("U8", [1.5], 0, 1) }, 1), /shape that is not/],
    ["endless shape", file({ a: entry("U8", Array(65).fill(1), 0, 1) }, 1), /shape that is not a short list/],
    ["one offset", file({ a: entry("U8", [1], 0) }, 1), /data_offsets that are not two/],
    ["wrong size", file({ a: entry("F32", [2], 0, 4) }, 4), /tensor a \[2\] of F32 takes 8 bytes, but its data_offsets are 0 to 4/],
    ["overflow", file({ a: entry("F32", [2 ** 40, 2 ** 40, 2 ** 40], 0, 4) }, 4), /takes .* bytes, but its data_offsets/],
    ["outside", file({ a: entry("F32", [2], 0, 8) }, 4), /has its data at bytes .* but the file has/],
    ["hole", file({ a: entry("U8", [1], 0, 1), b: entry("U8", [1], 2, 3) }, 3), /tensor b begins at byte .* after a hole/],
    ["overlap", file({ a: entry("U8", [2], 0, 2), b: entry("U8", [2], 1, 3) }, 3), /tensor b begins at byte .* inside the one before/],
    ["bytes after", file({ a: entry("U8", [1], 0, 1) }, 3), /its tensors end at/],
    ["unknown field", file({ a: { dtype: "U8", shape: [1], data_offsets: [0, 1], extra: 1 } }, 1), /unknown field extra/],
    ["metadata", file({ __metadata__: { a: 1 } }, 0), /has __metadata__ a that is not a string/],
    ["metadata list", file({ __metadata__: [] }, 0), /has __metadata__ that is not an object/],
  ])("%s", async (_, bytes, message) => {
    const error: unknown = await read(bytes).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(FrugalError);
    expect(error).toMatchObject({ code: "FRUGAL_BAD_FILE", message: expect.stringMatching(message) as string });
  });

  it("names an unknown dtype and its tensor", async () => {
    await expect(read(file({ a: entry("F33", [1], 0, 4) }, 4))).rejects.toMatchObject({
      code: "FRUGAL_UNSUPPORTED",
      message: expect.stringMatching(/test\.safetensors: tensor a: .*F33/) as string,
    });
  });
});

describe("safetensors in a directory", () => {
  let root: string;
  beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), "frugal-safetensors-"))));
  afterAll(() => rm(root, { recursive: true }));
  const directory = async (name: string, shards: Record<string, TensorToWrite[]>, index?: unknown): Promise<string> => {
    const path = join(root, name);
    await mkdir(path);
    for (const [shard, tensors] of Object.entries(shards)) await writeSafetensors(join(path, shard), tensors);
    if (index !== undefined) await writeFile(join(path, "model.safetensors.index.json"), JSON.stringify(index));
    return path;
  };
  const one = "model-00001-of-00002.safetensors";
  const two = "model-00002-of-00002.safetensors";
  const both = (): Record<string, TensorToWrite[]> => ({ [one]: [tensor("a", [1], floats(1))], [two]: [tensor("b", [1], floats(2))] });

  it("opens one file, shards, or the only one there", async () => {
    const cases: [string, Record<string, TensorToWrite[]>, unknown][] = [
      ["single", { "model.safetensors": [tensor("a", [1], floats(1)), tensor("b", [1], floats(2))] }, undefined],
      ["sharded", both(), { metadata: { total_size: 8 }, weight_map: { b: two, a: one } }],
      ["other", { "lora.safetensors": [tensor("a", [1], floats(1)), tensor("b", [1], floats(2))] }, undefined],
    ];
    for (const [name, shards, index] of cases) {
      const opened = await openSafetensorsDirectory(folderOf(await directory(name, shards, index)));
      expect([...opened.tensors.keys()].sort()).toEqual(["a", "b"]);
      expect([...(await decodeTensor(opened.tensors.get("b")!))]).toEqual([2]);
      await opened.close();
      await expect(decodeTensor(opened.tensors.get("b")!)).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
    }
  });

  it.each<[string, Record<string, TensorToWrite[]>, unknown, string, RegExp]>([
    [
      "missing",
      { [one]: [tensor("a", [1], floats(1))] },
      { weight_map: { a: one, b: two } },
      "FRUGAL_NOT_FOUND",
      /model-00002-of-00002\.safetensors: the shard that .* names is missing/,
    ],
    [
      "wrong",
      both(),
      { weight_map: { a: one, b: one } },
      "FRUGAL_BAD_FILE",
      /says that model-00001-of-00002\.safetensors has tensor b, but it has not/,
    ],
    ["unlisted", both(), { weight_map: { a: one }, x: 1 }, "FRUGAL_OK", /./],
    ["escaping", both(), { weight_map: { a: "../model.safetensors" } }, "FRUGAL_BAD_FILE", /maps tensor a to "\.\.\/model\.safetensors"/],
    ["no-map", both(), { weight_map: [] }, "FRUGAL_BAD_FILE", /has no weight_map/],
    ["empty", {}, undefined, "FRUGAL_NOT_FOUND", /has no \.safetensors file/],
    ["several", both(), undefined, "FRUGAL_NOT_FOUND", /has 2 \.safetensors files and no index/],
  ])("%s", async (name, shards, index, code, message) => {
    const work = openSafetensorsDirectory(folderOf(await directory(name, shards, index)));
    if (code !== "FRUGAL_OK") return expect(work).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
    const opened = await work;
    expect([...opened.tensors.keys()], "a shard that the index does not name is not opened").toEqual(["a"]);
    return opened.close();
  });

  it("refuses a tensor of a shard that its index does not name", async () => {
    const shards = { [one]: [tensor("a", [1], floats(1)), tensor("hidden", [1], floats(1))] };
    await expect(openSafetensorsDirectory(folderOf(await directory("hidden", shards, { weight_map: { a: one } })))).rejects.toThrow(
      /does not name tensor hidden of model-00001/,
    );
  });
});
