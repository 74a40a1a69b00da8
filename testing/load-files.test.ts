/** Models and adapters from sources, as they are opened where there is no file system: the same answers as from paths. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { writeGguf } from "../src/formats/gguf/write.ts";
import { copyOf } from "../src/formats/sink.ts";
import { openGguf, splitName } from "../src/formats/gguf/split.ts";
import { load } from "../src/index.ts";
import type { ModelFiles } from "../src/formats/folder.ts";
import { bytesSource, type ByteSource } from "../src/tensor/source.ts";
import { adapterFixtures } from "./adapters.ts";

const families = fileURLToPath(new URL("./fixtures/families/", import.meta.url));
const adapterPath = adapterFixtures.find(({ name }) => name === "lora")!.path;
const ids = [3, 7, 11];

async function filesOf(folder: string, names?: readonly string[], rename = (name: string): string => name): Promise<ModelFiles> {
  const files = new Map<string, ByteSource>();
  for (const entry of names ?? (await readdir(folder, { recursive: true }))) {
    const bytes = await readFile(join(folder, entry)).catch(() => undefined);
    if (bytes !== undefined) files.set(entry, bytesSource(rename(entry), bytes));
  }
  return { name: "given", files };
}

const logits = async (...[source, options]: Parameters<typeof load>): Promise<Float32Array> => {
  await using model = await load(source, { backend: "reference", ...options });
  return (await model.logits(ids))[0]!;
};

describe("a model from its files", () => {
  test("in Hugging Face layout", async () => {
    const folder = `${families}llama-3`;
    expect(await logits(await filesOf(folder))).toEqual(await logits(folder));
  });

  test("an encoder with its pooling, which lies a folder deeper", async () => {
    await using given = await load(await filesOf(`${families}bert`), { backend: "reference" });
    await using named = await load(`${families}bert`, { backend: "reference" });
    expect(await given.embed(["a b"])).toEqual(await named.embed(["a b"]));
    const without = await filesOf(`${families}bert`, ["config.json", "model.safetensors", "tokenizer.json", "modules.json"]);
    await expect(load(without, { backend: "reference" })).rejects.toThrow(
      /given\/1_Pooling\/config\.json: is not among the files that were given/,
    );
  });

  test("as GGUF, whatever its source is called", async () => {
    const given = await filesOf(`${families}llama-3`, ["llama-3.gguf"], () => "blob:something");
    await using model = await load(given, { backend: "reference" });
    expect(model.name).toBe("given");
    expect((await model.logits(ids))[0]).toEqual(await logits(`${families}llama-3/llama-3.gguf`));
  });

  test("as split GGUF, whatever the order; a missing and a foreign part are named", async () => {
    const whole = await openGguf(`${families}llama-3/llama-3.gguf`);
    const directory = await mkdtemp(join(tmpdir(), "frugal-"));
    try {
      const all = [...whole.tensors.values()];
      for (const part of [0, 1]) {
        const own = all.filter((_, index) => index % 2 === part);
        await writeGguf(join(directory, splitName("m", part + 1, 2)), {
          metadata: new Map([
            ...(part === 0 ? whole.metadata : []),
            ["split.no", part],
            ["split.count", 2],
            ["split.tensors.count", all.length],
          ]),
          types: part === 0 ? whole.types : new Map(),
          tensors: own.map((tensor) => copyOf(tensor)),
        });
      }
      const names = [splitName("m", 2, 2), splitName("m", 1, 2)];
      expect(await logits(await filesOf(directory, names))).toEqual(await logits(`${families}llama-3/llama-3.gguf`));
      await expect(logits(await filesOf(directory, names.slice(1)))).rejects.toThrow(/part 2 of 2 is missing/);
      const foreign = await filesOf(directory, names);
      const other = (await filesOf(`${families}llama-3`, ["llama-3.gguf"])).files;
      await expect(logits({ ...foreign, files: new Map([...foreign.files, ...other]) })).rejects.toThrow(/is no part of/);
    } finally {
      await whole.close();
      await rm(directory, { recursive: true });
    }
  });

  test("sources are closed with the model, and where loading fails", async () => {
    const closed: string[] = [];
    const watched = ({ name, files }: ModelFiles): ModelFiles => ({
      name,
      files: new Map([...files].map(([file, source]) => [file, { ...source, close: async () => void closed.push(file) }])),
    });
    await logits(watched(await filesOf(`${families}llama-3`, ["config.json", "model.safetensors"])));
    expect(closed.toSorted()).toEqual(["config.json", "model.safetensors"]);
    await expect(load(watched(await filesOf(`${families}llama-3`, ["tokenizer.json"])))).rejects.toMatchObject({
      code: "FRUGAL_UNSUPPORTED",
      message: expect.stringMatching(/1 files, of which none is a \.gguf file or config\.json/) as string,
    });
    expect(closed).toContain("tokenizer.json");
  });
});

describe("an adapter from its files", () => {
  const base = `${families}llama-3`;

  test("with the model, as a folder and as lone tensors", async () => {
    const wanted = await logits(base, { adapter: adapterPath });
    expect(await logits(base, { adapter: await filesOf(adapterPath) })).toEqual(wanted);
    const plain = adapterFixtures.find(({ name }) => name === "lora-layers")!;
    const lone = await filesOf(plain.path, ["adapter_model.safetensors"]);
    await expect(logits(base, { adapter: lone })).rejects.toThrow(/give its alpha/);
    await expect(logits(base, { adapter: await filesOf(base) })).rejects.toThrow(/given: has no adapter_config\.json; it is a whole model/);
  });

  test("in a slot, also after it had to be read again", async () => {
    await using model = await load(base, { backend: "reference", adapterSlots: { count: 1, rank: 16 } });
    const info = await model.adapters.load("one", await filesOf(adapterPath));
    expect(info).toMatchObject({ name: "one", path: "given" });
    const text = async (adapter?: string): Promise<readonly number[]> =>
      (await model.generate(ids, { maxTokens: 8, ignoreEnd: true, ...(adapter === undefined ? {} : { adapter }) })).ids;
    const adapted = await text("one");
    await model.adapters.load("two", adapterPath);
    expect(await text("two")).toEqual(adapted);
    expect(await text("one")).toEqual(adapted);
  });
});
