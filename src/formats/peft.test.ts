import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { adapterFixtures } from "../../testing/adapters.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { type PeftConfig, readPeftConfig } from "./peft-config.ts";
import { peftJson } from "./peft-json.ts";
import { readPeft, writePeft } from "./peft.ts";
import { encodeSafetensors } from "./safetensors-write.ts";

const lora = { peft_type: "LORA", r: 4, lora_alpha: 8, target_modules: ["q_proj"] };
const read = (json: Record<string, unknown>): PeftConfig => readPeftConfig("adapter_config.json", json);

describe("configurations", () => {
  test.each(adapterFixtures)("PEFT's own of $name come back as they were read", async ({ path }) => {
    const { config } = await readPeft(path).then(async (file) => {
      await file.close();
      return file;
    });
    // What is written differs in what training alone asks for; reading it again gives the same record.
    expect(read(peftJson(config!))).toEqual(config);
  });

  test.each<[string, unknown, Partial<PeftConfig>]>([
    ["r", 16, { rank: 16 }],
    ["lora_alpha", 3.5, { alpha: 3.5 }],
    ["use_rslora", true, { rslora: true }],
    ["use_dora", true, { dora: true }],
    ["bias", "lora_only", { bias: "lora_only" }],
    ["rank_pattern", { k_proj: 2 }, { rankPattern: { k_proj: 2 } }],
    ["alpha_pattern", { k_proj: 2 }, { alphaPattern: { k_proj: 2 } }],
    ["target_modules", "all-linear", { targetModules: "all-linear" }],
    ["modules_to_save", ["classifier"], { modulesToSave: ["classifier"] }],
    ["layers_to_transform", 3, { layers: [3] }],
    ["layers_to_transform", [0, 2], { layers: [0, 2] }],
    ["base_model_name_or_path", "x/y", { baseModel: "x/y" }],
    ["task_type", "SEQ_CLS", { taskType: "SEQ_CLS" }],
  ])("%s as %j", (key, value, expected) => {
    const config = read({ ...lora, [key]: value });
    expect(config).toMatchObject(expected);
    expect(read(peftJson(config))).toEqual(config);
  });

  it("knows what the other kinds say", () => {
    expect(read({ peft_type: "ADALORA", init_r: 6, target_r: 4, orth_reg_weight: 0.1, rank_pattern: { x: [true] } })).toMatchObject({
      initialRank: 6,
      targetRank: 4,
      orthogonalWeight: 0.1,
    });
    expect(read({ peft_type: "VERA", r: 6, d_initial: 0.2 })).toMatchObject({ rank: 6, initialD: 0.2 });
    expect(read({ peft_type: "IA3", feedforward_modules: ["down_proj"] })).toMatchObject({ feedforwardModules: ["down_proj"] });
    const prompt = { num_virtual_tokens: 3, token_dim: 32, num_layers: 2, num_attention_heads: 4 };
    expect(read({ peft_type: "P_TUNING", ...prompt, encoder_hidden_size: 7 })).toMatchObject({
      virtualTokens: 3,
      width: 32,
      encoderHidden: 7,
    });
  });

  test.each<[Record<string, unknown>, string, RegExp]>([
    [{}, "FRUGAL_UNSUPPORTED", /peft_type is missing/],
    [{ peft_type: "LORRA" }, "FRUGAL_UNSUPPORTED", /"LORRA".*did you mean LORA/],
    [{ peft_type: ["LORA"] }, "FRUGAL_UNSUPPORTED", /Known: LORA/],
    [{ ...lora, r: 0 }, "FRUGAL_BAD_FILE", /r is 0, not a whole number from 1/],
    [{ ...lora, r: 1e300 }, "FRUGAL_BAD_FILE", /r is 1e\+300/],
    [{ ...lora, r: undefined }, "FRUGAL_BAD_FILE", /r is missing/],
    [{ ...lora, lora_alpha: "8" }, "FRUGAL_BAD_FILE", /lora_alpha is "8"/],
    [{ ...lora, bias: "some" }, "FRUGAL_BAD_FILE", /bias is "some"/],
    [{ ...lora, target_modules: [1] }, "FRUGAL_BAD_FILE", /target_modules/],
    [{ ...lora, rank_pattern: { a: "b" } }, "FRUGAL_BAD_FILE", /rank_pattern/],
    [{ ...lora, layers_to_transform: [-1] }, "FRUGAL_BAD_FILE", /layers_to_transform/],
    [{ ...lora, use_doora: true }, "FRUGAL_UNSUPPORTED", /use_doora is true.*did you mean use_dora/],
    [{ ...lora, alora_invocation_tokens: [1] }, "FRUGAL_UNSUPPORTED", /alora_invocation_tokens.*cannot do/],
    [{ ...lora, init_lora_weights: "pissa_niter_4" }, "FRUGAL_UNSUPPORTED", /changes the base before training/],
    [{ peft_type: "VERA", r: 2, bias: "all" }, "FRUGAL_BAD_FILE", /bias/],
  ])("%j is refused", (json, code, message) => {
    expect(() => read(json)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) as string }));
  });

  it("takes keys of newer releases that say nothing", () => {
    expect(read({ ...lora, something_new: null, another: false, third: {}, fourth: [] })).toMatchObject({ rank: 4 });
  });
});

describe("directories", () => {
  let root: string;
  beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), "frugal-peft-"))));
  afterAll(() => rm(root, { recursive: true }));
  const directory = async (name: string, files: Record<string, string | Uint8Array>): Promise<string> => {
    await mkdir(join(root, name));
    for (const [file, content] of Object.entries(files)) await writeFile(join(root, name, file), content);
    return join(root, name);
  };
  const tensor = (name: string) => ({ name, shape: [1], format: formatByName("F32"), bytes: new Uint8Array(4) });

  it("come back as they were written", async () => {
    const path = join(root, "written");
    const metadata = new Map([["note", "x"]]);
    await writePeft(path, { config: read(lora), tensors: [tensor("base_model.model.a.lora_A.weight")], metadata });
    const file = await readPeft(path);
    expect([...file.tensors.keys()]).toEqual(["a.lora_A.weight"]);
    expect(file.metadata.get("note")).toBe("x");
    expect(file.config).toEqual(read(lora));
    await file.close();
    expect(JSON.parse(await readFile(join(path, "adapter_config.json"), "utf8"))).toMatchObject({ r: 4, peft_type: "LORA" });
  });

  test.each<[string, Record<string, string | Uint8Array>, RegExp]>([
    ["empty", {}, /has no adapter_config\.json; an adapter has/],
    ["model", { "config.json": "{}" }, /it is a whole model/],
    ["no-tensors", { "adapter_config.json": JSON.stringify(lora) }, /adapter_model\.safetensors: is missing/],
    ["pickle", { "adapter_config.json": JSON.stringify(lora), "adapter_model.bin": "" }, /a pickle that may run code/],
    ["broken", { "adapter_config.json": '{"r" 1}' }, /line 1, column 6/],
    ["truncated", { "adapter_config.json": JSON.stringify(lora), "adapter_model.safetensors": new Uint8Array(9) }, /has a header|header/],
  ])("%s", async (name, files, message) => {
    await expect(readPeft(await directory(name, files))).rejects.toThrow(message);
  });

  it("may not have a tensor twice", async () => {
    const bytes = await encodeSafetensors([tensor("base_model.model.a.ia3_l"), tensor("a.ia3_l")]);
    const path = await directory("twice", { "adapter_config.json": JSON.stringify(lora), "adapter_model.safetensors": bytes });
    await expect(readPeft(path)).rejects.toThrow(/with and without its prefix/);
  });
});
