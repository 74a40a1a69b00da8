import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { formatByName } from "../tensor/formats/index.ts";
import { openDirectory } from "./directory.ts";
import { encodeSafetensors } from "./safetensors-write.ts";

let root: string;
let weights: Uint8Array;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "frugal-directory-"));
  weights = await encodeSafetensors([{ name: "w", shape: [1], format: formatByName("F32"), bytes: new Uint8Array(4) }]);
});
afterAll(() => rm(root, { recursive: true }));

let made = 0;
/** A directory with `config.json`, weights and these files; null leaves one out. */
async function directory(files: Record<string, string | Uint8Array | null>): Promise<string> {
  const path = join(root, String(made++));
  for (const [name, content] of Object.entries({ "config.json": '{"model_type": "toy"}', "model.safetensors": weights, ...files })) {
    if (content === null) continue;
    await mkdir(dirname(join(path, name)), { recursive: true });
    await writeFile(join(path, name), content);
  }
  return path;
}
const pooled = (config: unknown, ...types: string[]): Record<string, string> => ({
  "modules.json": JSON.stringify(
    types.map((type, idx) => ({ idx, type: `sentence_transformers.models.${type}`, path: type === "Pooling" ? "1_Pooling" : "" })),
  ),
  "1_Pooling/config.json": JSON.stringify(config),
});

describe("a directory in Hugging Face layout", () => {
  it("opens with the least it needs", async () => {
    const model = await openDirectory(await directory({}));
    expect(Object.keys(model).sort()).toEqual(["chatTemplates", "close", "config", "path", "tensors"]);
    expect(model.config).toEqual({ model_type: "toy" });
    expect([...model.tensors.keys()]).toEqual(["w"]);
    await model.close();
  });

  it("reads every file it knows", async () => {
    const model = await openDirectory(
      await directory({
        "generation_config.json": '{"top_k": 1}',
        "tokenizer.json": '{"version": "1.0"}',
        "tokenizer_config.json": '{"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]}',
        "special_tokens_map.json": '{"bos_token": "<s>"}',
        ...pooled({ pooling_mode_mean_tokens: true, pooling_mode_cls_token: false }, "Transformer", "Pooling", "Normalize"),
      }),
    );
    expect(model).toMatchObject({
      generationConfig: { top_k: 1 },
      tokenizer: { version: "1.0" },
      specialTokens: { bos_token: "<s>" },
      chatTemplate: "plain",
      pooling: { mode: "mean", normalize: true },
    });
    expect(model.tokenizerConfig?.["chat_template"]).toHaveLength(2);
    expect([...model.chatTemplates]).toEqual([["tool_use", "tools"]]);
    await model.close();
  });

  it("prefers the template in its own file", async () => {
    const inConfig = { "tokenizer_config.json": '{"chat_template": "config"}' };
    const inJson = { ...inConfig, "chat_template.json": '{"chat_template": "json"}' };
    for (const [files, template] of [
      [inConfig, "config"],
      [inJson, "json"],
      [{ ...inJson, "chat_template.jinja": "jinja" }, "jinja"],
    ] as const) {
      const model = await openDirectory(await directory(files));
      expect(model.chatTemplate).toBe(template);
      await model.close();
    }
  });

  it.each([
    ["pooling_mode_cls_token", "cls"],
    ["pooling_mode_mean_tokens", "mean"],
    ["pooling_mode_max_tokens", "max"],
    ["pooling_mode_lasttoken", "last"],
  ])("pooling by %s", async (key, mode) => {
    const model = await openDirectory(await directory(pooled({ [key]: true }, "Transformer", "Pooling")));
    expect(model.pooling).toEqual({ mode, normalize: false });
    await model.close();
  });

  it.each<[string, Record<string, string | Uint8Array | null>, string, RegExp]>([
    ["no config", { "config.json": null }, "FRUGAL_NOT_FOUND", /has no config\.json; a model's directory has/],
    ["a GGUF file in it", { "config.json": null, "m.gguf": "" }, "FRUGAL_NOT_FOUND", /name the file .*m\.gguf in it/],
    ["bad JSON", { "config.json": '{\n "a": }' }, "FRUGAL_BAD_FILE", /config\.json: line 2, column 7/],
    ["a list", { "tokenizer_config.json": "[]" }, "FRUGAL_BAD_FILE", /tokenizer_config\.json: line 1, column 1: an object/],
    ["no weights", { "model.safetensors": null }, "FRUGAL_NOT_FOUND", /has no \.safetensors file/],
    [
      "pickled weights",
      { "model.safetensors": null, "pytorch_model.bin": "" },
      "FRUGAL_UNSUPPORTED",
      /only as pytorch_model\.bin, a pickle/,
    ],
    [
      "bad template",
      { "tokenizer_config.json": '{"chat_template": [1]}' },
      "FRUGAL_BAD_FILE",
      /chat_template is neither a string nor a list/,
    ],
    [
      "unknown module",
      pooled({}, "Transformer", "Dense"),
      "FRUGAL_UNSUPPORTED",
      /module sentence_transformers\.models\.Dense is not known/,
    ],
    [
      "unknown mode",
      pooled({ pooling_mode_mean_sqrt_len_tokens: true }, "Pooling"),
      "FRUGAL_UNSUPPORTED",
      /asks for pooling_mode_mean_sqrt_len_tokens; exactly one of/,
    ],
    [
      "two modes",
      pooled({ pooling_mode_mean_tokens: true, pooling_mode_cls_token: true }, "Pooling"),
      "FRUGAL_UNSUPPORTED",
      /mean_tokens and pooling_mode_cls_token/,
    ],
    [
      "module elsewhere",
      { "modules.json": '[{"type": "a.Pooling", "path": "../x"}]' },
      "FRUGAL_BAD_FILE",
      /the pooling module in "\.\.\/x"/,
    ],
  ])("%s", async (_, files, code, message) => {
    await expect(openDirectory(await directory(files))).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  });

  it("that is none", async () => {
    await expect(openDirectory(join(root, "none"))).rejects.toThrow(/none: does not exist/);
    await writeFile(join(root, "file"), "");
    await expect(openDirectory(join(root, "file"))).rejects.toThrow(/is a file, not a model's directory/);
    await expect(openDirectory(await directory({}), { signal: AbortSignal.abort(new Error("stop")) })).rejects.toThrow("stop");
  });
});
