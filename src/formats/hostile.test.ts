/** Files that were changed at random: readers end with a model or a FrugalError, having read and kept no more than the file's size allows. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrugalError } from "../tensor/error.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { bytesSource, type ByteSource } from "../tensor/source.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import { type MetadataValue, stringTable } from "../tensor/strings.ts";
import { readGguf } from "./gguf/read.ts";
import { isStringTable } from "./gguf/values.ts";
import { writeGguf } from "./gguf/write.ts";
import { readLlama2cTokenizer } from "./llama2c-tokenizer.ts";
import { readSafetensors } from "./safetensors.ts";
import { encodeSafetensors } from "./safetensors-write.ts";
import { memorySink } from "./sink.ts";

const tensors = [
  { name: "first", shape: [2, 32], format: formatByName("Q8_0"), bytes: new Uint8Array(68) },
  { name: "second", shape: [5], format: formatByName("F32"), bytes: new Uint8Array(20) },
];
const metadata = new Map<string, MetadataValue>([
  ["general.architecture", "test"],
  ["general.alignment", 32],
  ["test.words", stringTable(["a", "bc", "", "def"])],
  ["test.numbers", Int32Array.of(1, 2, 3)],
  ["test.flags", [true, false]],
  ["test.nested", [Uint8Array.of(1), Uint8Array.of(2, 3)]],
  ["test.scalar", 1.5],
]);

const interesting = fc.constantFrom(0, 1, 2, 7, 9, 12, 0x7f, 0x80, 0xff);
type Edit = { readonly place: number; readonly bytes: readonly number[]; readonly kind: "set" | "cut" | "insert" };
const edit: fc.Arbitrary<Edit> = fc.record({
  place: fc.nat(),
  bytes: fc.array(fc.oneof(interesting, fc.nat(255)), { minLength: 1, maxLength: 8 }),
  kind: fc.constantFrom("set", "set", "set", "cut", "insert"),
});

function apply(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  let current = [...bytes];
  for (const { place, bytes: put, kind } of edits) {
    const at = place % (current.length + 1);
    if (kind === "cut") current = current.slice(0, at);
    else current.splice(at, kind === "set" ? put.length : 0, ...put);
  }
  return Uint8Array.from(current);
}

/** Counts what is asked for. */
function counted(bytes: Uint8Array): { source: ByteSource; total: () => number } {
  const source = bytesSource("changed", bytes);
  let total = 0;
  return {
    source: {
      ...source,
      read(offset, length) {
        total += length;
        return source.read(offset, length);
      },
    },
    total: () => total,
  };
}

const bytesOf = (value: MetadataValue): number => {
  if (typeof value !== "object") return typeof value === "string" ? 2 * value.length : 8;
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (isStringTable(value)) return value.bytes.length + value.offsets.byteLength;
  return value.reduce<number>((n: number, element) => n + 8 + bytesOf(element), 0);
};

const inside = (file: ReadonlyMap<string, StoredTensor>, length: number): void => {
  for (const tensor of file.values()) expect(tensor.offset + tensor.byteLength).toBeLessThanOrEqual(length);
};

async function endsWell(bytes: Uint8Array, read: (source: ByteSource) => Promise<void>): Promise<void> {
  const { source, total } = counted(bytes);
  try {
    await read(source);
  } catch (error) {
    if (!(error instanceof FrugalError)) throw error;
    expect(error.message).toMatch(/^changed.*: .*; /s);
  }
  expect(total()).toBeLessThanOrEqual(8 * bytes.length + 64);
}

describe("changed files", () => {
  it("GGUF", async () => {
    const sink = memorySink("whole");
    await writeGguf(sink, { metadata, tensors });
    const whole = sink.bytes();
    const property = fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
      const bytes = apply(whole, edits);
      await endsWell(bytes, async (source) => {
        const file = await readGguf(source);
        inside(file.tensors, bytes.length);
        for (const value of file.metadata.values()) expect(bytesOf(value)).toBeLessThanOrEqual(16 * bytes.length + 64);
      });
    });
    await fc.assert(property, { numRuns: 3000 });
  });

  it("GGUF beginning well and going on at random", async () => {
    const head = Uint8Array.of(0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0);
    const property = fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat(3), fc.nat(3), (rest, tensorCount, keyCount) =>
      endsWell(
        Uint8Array.from([...head, tensorCount, 0, 0, 0, 0, 0, 0, 0, keyCount, 0, 0, 0, 0, 0, 0, 0, ...rest]),
        async (source) => void (await readGguf(source)),
      ),
    );
    await fc.assert(property, { numRuns: 1000 });
  });

  it("safetensors", async () => {
    const whole = await encodeSafetensors([tensors[1]!, { ...tensors[1]!, name: "third" }], new Map([["format", "pt"]]));
    const property = fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
      const bytes = apply(whole, edits);
      await endsWell(bytes, async (source) => inside((await readSafetensors(source)).tensors, bytes.length));
    });
    await fc.assert(property, { numRuns: 3000 });
  });

  it("safetensors headers with any JSON", async () => {
    const value = fc.oneof(
      fc.jsonValue(),
      fc.record({
        dtype: fc.constantFrom("F32", "U8", "X"),
        shape: fc.jsonValue(),
        data_offsets: fc.array(fc.integer(), { maxLength: 3 }),
      }),
    );
    const property = fc.asyncProperty(
      fc.dictionary(fc.constantFrom("a", "b", "__metadata__", "__proto__"), value),
      fc.nat(20),
      async (header, data) => {
        const json = new TextEncoder().encode(JSON.stringify(header));
        const bytes = new Uint8Array(8 + json.length + data);
        new DataView(bytes.buffer).setUint32(0, json.length, true);
        bytes.set(json, 8);
        await endsWell(bytes, async (source) => inside((await readSafetensors(source)).tensors, bytes.length));
      },
    );
    await fc.assert(property, { numRuns: 1000 });
  });

  it("llama2.c tokenizers", async () => {
    const property = fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), fc.nat(10), (bytes, count) =>
      endsWell(bytes, async () => void readLlama2cTokenizer("changed", bytes, count)),
    );
    await fc.assert(property);
  });
});
