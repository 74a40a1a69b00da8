import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adapterFixtures } from "../../../testing/adapters.ts";
import { openFixture } from "../../../testing/families.ts";
import type { Model } from "../../models/family.ts";
import { openModel } from "../../models/index.ts";
import { F32 } from "../../tensor/formats/floats.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import { bytesSource } from "../../tensor/source.ts";
import { decodeTensor, type StoredTensor } from "../../tensor/stored.ts";
import { expectBase, fingerprintOf, parseFingerprint } from "./base-fingerprint.ts";
import { openAdapter } from "./open-adapter.ts";
import { writePeftAdapter } from "./peft-write.ts";

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "frugal-fingerprint-"))));
afterAll(() => rm(folder, { recursive: true }));

const refused = (message: RegExp): unknown =>
  expect.objectContaining({ code: "FRUGAL_BAD_ARGUMENT", message: expect.stringMatching(message) });

/** The fixture with every matrix changed. */
async function changed(change: (values: Float32Array, tensor: StoredTensor) => StoredTensor): Promise<Model> {
  const checkpoint = await openFixture({ name: "llama-2", kind: "huggingface" });
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of checkpoint.tensors)
    tensors.set(name, tensor.shape.length > 1 ? change(await decodeTensor(tensor), tensor) : tensor);
  return openModel({ ...checkpoint, tensors } as typeof checkpoint);
}
const inFloats = (values: Float32Array, tensor: StoredTensor): StoredTensor => {
  const bytes = new Uint8Array(values.buffer);
  return { ...tensor, format: F32, source: bytesSource("changed", bytes), offset: 0, byteLength: bytes.length };
};

test("the same base is known in other formats and files", async () => {
  const [plain, gguf] = [await openFixture({ name: "llama-2", kind: "huggingface" }), await openFixture({ name: "llama-2", kind: "gguf" })];
  const wanted = await fingerprintOf(openModel(plain));
  await expectBase("a", openModel(gguf), wanted, undefined);
  for (const name of ["Q8_0", "Q4_0"]) {
    const format = formatByName(name);
    const coarse = await changed((values, tensor) => {
      const bytes = new Uint8Array((values.length / format.blockSize) * format.blockBytes);
      format.encode!(values, bytes);
      return { ...tensor, format, source: bytesSource("coarse", bytes), offset: 0, byteLength: bytes.length };
    });
    await expectBase("a", coarse, wanted, undefined);
  }
  expect(parseFingerprint(JSON.stringify(wanted))).toEqual(wanted);
  await Promise.all([plain.close(), gguf.close()]);
});

test("other weights, other shapes and other families are another base", async () => {
  const llama = await openFixture({ name: "llama-2", kind: "huggingface" });
  const wanted = await fingerprintOf(openModel(llama));
  const others = await changed((values, tensor) =>
    inFloats(
      values.map((_, i) => Math.sin(i * i)),
      tensor,
    ),
  );
  await expect(expectBase("a", others, wanted, "their/base")).rejects.toThrow(
    refused(/another base: samples of its "embedding".*"their\/base"/),
  );
  const gemma = await openFixture({ name: "gemma-3", kind: "huggingface" });
  await expect(expectBase("a", openModel(gemma), wanted, undefined)).rejects.toThrow(refused(/its "embedding" is \[/));
  await Promise.all([llama.close(), gemma.close()]);
});

test("what is no fingerprint is none", () => {
  for (const text of [undefined, "", "{", "[]", '{"a":1}', '{"a":{"shape":1,"samples":[]}}', "x".repeat(1 << 17)])
    expect(parseFingerprint(text)).toBeUndefined();
});

test("an adapter says what it was made for, and is refused elsewhere", async () => {
  const checkpoint = await openFixture({ name: "llama-3", kind: "huggingface" });
  const model = openModel(checkpoint);
  const fixture = adapterFixtures.find(({ name }) => name === "lora")!;
  const out = join(folder, "adapter");
  await writePeftAdapter(out, model, await openAdapter(fixture.path, checkpoint, model));
  await openAdapter(out, checkpoint, model);
  const weights = new Map(model.weights);
  const values = async (): Promise<Float32Array> => Float32Array.from({ length: 131 * 32 }, (_, i) => Math.cos(i * i));
  weights.set("embedding", { shape: [131, 32], content: { values } });
  await expect(openAdapter(out, checkpoint, { ...model, weights })).rejects.toThrow(refused(/was made for another base/));
  await checkpoint.close();
});
