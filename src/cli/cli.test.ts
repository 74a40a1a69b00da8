/** The commands in processes of their own: the JSON that others script against, exit codes, messages. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CommandLine, compileCommandLine } from "../../testing/command-line.ts";
import { readCases } from "../../testing/families.ts";
import { openFile } from "../formats/files.ts";
import { encodeSafetensors } from "../formats/safetensors-write.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { decodeTensor } from "../tensor/stored.ts";

const families = fileURLToPath(new URL("../../testing/fixtures/families/", import.meta.url));
const directory = join(families, "llama-3");
const gguf = join(directory, "llama-3.gguf");
const encoder = join(families, "bert");
const reference = ["--backend", "reference"];

let frugal: CommandLine;
beforeAll(() => {
  frugal = compileCommandLine();
});
afterAll(() => frugal.remove());

/** The one JSON object of a command that succeeds. */
async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await frugal.run([...args, "--json"]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout.trimEnd().split("\n").length).toBe(1);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe("run", () => {
  const keys = [
    "text",
    "ids",
    "prompt_ids",
    "finish_reason",
    "prefill_tokens_per_second",
    "decode_tokens_per_second",
    "time_to_first_token_ms",
    "load_ms",
    "peak_rss_bytes",
  ];

  test("a draft and what is proposed change the speed alone", async () => {
    const ids = async (...args: string[]): Promise<unknown> =>
      (await json("run", directory, "the cat", "--max-tokens", "12", ...reference, ...args))["ids"];
    const wanted = await ids("--speculation", "off");
    expect(await ids("--speculation", "always")).toEqual(wanted);
    expect(await ids("--speculation", "always", "--draft", directory)).toEqual(wanted);
    const { code, stderr } = await frugal.run(["run", directory, "the", "--draft", encoder, ...reference]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/draft: .* is an encoder and writes no text/);
  });

  test("writes text with its ids and speeds", async () => {
    const result = await json("run", gguf, "the", "--max-tokens", "4", ...reference);
    expect(Object.keys(result)).toEqual(keys);
    expect(result["finish_reason"]).toBe("length");
    expect(result["ids"]).toHaveLength(4);
    expect(result["peak_rss_bytes"]).toBeGreaterThan(1e7);
    for (const key of keys.slice(4)) expect(result[key]).toBeGreaterThan(0);
  });

  test("the same seed writes the same text, another does not", async () => {
    const ids = async (seed: string) =>
      (await json("run", directory, "the", "--max-tokens", "12", "--temperature", "2", "--seed", seed, ...reference))["ids"];
    const [first, again, other] = await Promise.all([ids("1"), ids("1"), ids("2")]);
    expect(first).toEqual(again);
    expect(first).not.toEqual(other);
  });

  test("prints text as it comes, and nothing else", async () => {
    const args = ["run", gguf, "the", "--max-tokens", "4", ...reference];
    const plain = await frugal.run(args);
    expect(plain).toMatchObject({ code: 0, stderr: "" });
    expect(plain.stdout).toBe(`${String((await json(...args))["text"])}\n`);
  });

  test("a prompt longer than the context is refused with both numbers", async () => {
    const { code, stderr } = await frugal.run(["run", gguf, "the the the the the the", "--context", "3", ...reference]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^frugal: prompt: has \d+ tokens, but the context holds 3;/);
  });

  test("ctrl-C ends it with a word", async () => {
    const started = Date.now();
    let isSent = false;
    const { code, stderr } = await frugal.run(["run", gguf, "the", "--temperature", "3", ...reference], {
      onOutput(stdout, kill) {
        if (!isSent && stdout.length > 10) kill("SIGINT");
        isSent ||= stdout.length > 10;
      },
    });
    // The toy may also end its text by itself.
    expect([0, 1]).toContain(code);
    if (code === 1) expect(stderr).toBe("frugal: stopped\n");
    expect(Date.now() - started).toBeLessThan(20_000);
  });

  test("chats where no prompt is given", async () => {
    const input = "the\n/hepl\n/system be brief\n/system\n/undo\n/clear\nthe\n/quit\n";
    const { code, stdout, stderr } = await frugal.run(["run", gguf, "--max-tokens", "3", "--seed", "1", ...reference], { input });
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("/help lists the commands");
    expect(stdout).toContain("did you mean /help?");
    expect(stdout).toContain("be brief");
    expect(stdout.match(/tokens read at/g)).toHaveLength(2);
  });
});

describe("logits and forward", () => {
  test("give what the original implementation gives", async () => {
    const cases = await readCases("llama-3");
    const ids = cases.get("short.input_ids")!;
    const wanted = cases.get("short.logits")!;
    const vocabulary = wanted.length / ids.length;
    const all = await json("logits", directory, "--ids", ids.join(), "--all", ...reference);
    expect(Object.keys(all)).toEqual(["vocabulary", "rows"]);
    expect(all["vocabulary"]).toBe(vocabulary);
    const rows = all["rows"] as number[][];
    expect(rows.length).toBe(ids.length);
    rows.flat().forEach((x, i) => expect(Math.abs(x - wanted[i]!)).toBeLessThan(1e-3));
    const last = await json("logits", gguf, "--ids", ids.join(), ...reference);
    expect((last["rows"] as number[][]).length).toBe(1);
    (last["rows"] as number[][])[0]!.forEach((x, i) => expect(Math.abs(x - rows.at(-1)![i]!)).toBeLessThan(1e-3));
  });

  test("padding does not change what stands beside it", async () => {
    const cases = await readCases("llama-3");
    const [short, long] = [cases.get("short.input_ids")!, cases.get("long.input_ids")!];
    const ids = new Float32Array(2 * long.length);
    const mask = new Float32Array(2 * long.length).fill(1, 0, short.length).fill(1, long.length);
    ids.set(short);
    ids.set(long, long.length);
    const bytes = (data: Float32Array): Uint8Array => new Uint8Array(data.buffer);
    const shape = [2, long.length];
    const input = join(frugal.folder, "in.safetensors");
    const output = join(frugal.folder, "out.safetensors");
    const format = formatByName("F32");
    writeFileSync(
      input,
      await encodeSafetensors([
        { name: "input_ids", shape, format, bytes: bytes(ids) },
        { name: "attention_mask", shape, format, bytes: bytes(mask) },
      ]),
    );
    const printed = await json("forward", directory, "--inputs", input, "--out", output, ...reference);
    const file = await readSafetensors(await openFile(output));
    expect(printed).toEqual({ outputs: Object.fromEntries([...file.tensors].map(([name, tensor]) => [name, tensor.shape])) });
    expect([...file.tensors.keys()].sort()).toEqual(["last_hidden_state", "logits"]);
    const logits = await decodeTensor(file.tensors.get("logits")!);
    const row = logits.length / 2;
    cases.get("short.logits")!.forEach((x, i) => expect(Math.abs(x - logits[i]!)).toBeLessThan(1e-3));
    cases.get("long.logits")!.forEach((x, i) => expect(Math.abs(x - logits[row + i]!)).toBeLessThan(1e-3));
    await file.close();
  });

  test("an encoder's hidden states and pooled output", async () => {
    const cases = await readCases("bert");
    const ids = cases.get("typed.input_ids")!;
    const format = formatByName("F32");
    const tensor = (name: string, data: Float32Array) => ({
      name,
      shape: [data.length],
      format,
      bytes: new Uint8Array(data.slice().buffer),
    });
    const [input, output] = [join(frugal.folder, "b-in.safetensors"), join(frugal.folder, "b-out.safetensors")];
    writeFileSync(input, await encodeSafetensors([tensor("input_ids", ids), tensor("token_type_ids", cases.get("typed.token_type_ids")!)]));
    await json("forward", encoder, "--inputs", input, "--out", output, ...reference);
    const file = await readSafetensors(await openFile(output));
    for (const name of ["last_hidden_state", "pooler_output"]) {
      const found = await decodeTensor(file.tensors.get(name)!);
      expect(found.length).toBe(cases.get(`typed.${name}`)!.length);
      cases.get(`typed.${name}`)!.forEach((x, i) => expect(Math.abs(x - found[i]!)).toBeLessThan(1e-3));
    }
    await file.close();
  });

  test("bad ids and inputs are named", async () => {
    expect(await frugal.run(["logits", gguf, "--ids", "1,9999", ...reference])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/9999 is not a token; ids go from 0 to/) as string,
    });
    expect(await frugal.run(["logits", gguf, "--ids=-1", ...reference])).toMatchObject({ code: 2 });
    expect(await frugal.run(["logits", gguf])).toMatchObject({ code: 2, stderr: expect.stringContaining("--ids is missing") as string });
    const missing = join(frugal.folder, "missing.safetensors");
    expect(await frugal.run(["forward", gguf, "--inputs", missing, "--out", "x"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(missing) as string,
    });
  });
});

describe("adapters", () => {
  const adapter = fileURLToPath(new URL("../../testing/fixtures/adapters/lora", import.meta.url));
  const row = async (...args: string[]): Promise<number[]> =>
    ((await json("logits", ...args, "--ids", "7,11,23", "--kv", "f32", ...reference))["rows"] as number[][])[0]!;
  const distance = (a: readonly number[], b: readonly number[]): number => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

  test("stand beside a model, are made part of it, and are written for others", async () => {
    const [plain, tuned] = [await row(directory), await row(directory, "--adapter", adapter)];
    expect(distance(plain, tuned)).toBeGreaterThan(0.1);
    const out = join(frugal.folder, "merged");
    const merged = await json("merge", directory, adapter, out, "--format", "F32");
    expect(merged).toEqual({ out, changed: 21, formats: { F32: 29 } });
    expect(distance(await row(out), tuned)).toBeLessThan(1e-3);
    const file = join(frugal.folder, "adapter.gguf");
    expect(await json("merge", gguf, adapter, file, "--adapter-only")).toEqual({ out: file });
    expect(distance(await row(gguf, "--adapter", file), await row(gguf, "--adapter", adapter))).toBeLessThan(1e-4);
    const text = await json("run", gguf, "the", "--adapter", file, "--max-tokens", "3", ...reference);
    expect(text["ids"]).toHaveLength(3);
  });

  test.each([
    [["merge", directory, adapter], 2, "merge: OUT is missing"],
    [["merge", directory, adapter, "x", "--adapter-only", "--format", "F16"], 2, "--adapter-only writes no model"],
    [["merge", directory, adapter, "x", "--format", "Q4K"], 1, "did you mean Q4_K"],
    [["merge", directory, join(directory, "none"), "x"], 1, "there is no such adapter"],
    [["merge", join(families, "qwen-2"), adapter, "x"], 1, "the adapter was made for another base"],
    [["logits", join(families, "gpt-2"), "--ids", "1", "--adapter", adapter, ...reference], 1, "it was made for another base"],
    [["logits", directory, "--ids", "1", "--adapter", adapter, "--adapter-alpha", "2", ...reference], 1, "says its own alpha"],
  ])("%j fails with a message", async (args, wanted, message) => {
    const { code, stderr } = await frugal.run(args);
    expect([code, stderr.trimEnd().split("\n").length]).toEqual([wanted, 1]);
    expect(stderr).toContain(message);
  });
});

describe("text", () => {
  test("tokenize and detokenize", async () => {
    const { ids, pieces } = (await json("tokenize", gguf, "the cat")) as { ids: number[]; pieces: string[] };
    expect(ids.length).toBe(pieces.length);
    expect(await json("detokenize", gguf, "--ids", ids.join(), "--skip-special")).toEqual({ text: "the cat" });
  });
  test("embed", async () => {
    const { dimensions, embeddings } = (await json("embed", encoder, "the cat", "a dog", ...reference)) as {
      dimensions: number;
      embeddings: number[][];
    };
    expect([dimensions, embeddings.length, embeddings[0]!.length]).toEqual([32, 2, 32]);
    expect(embeddings[0]).not.toEqual(embeddings[1]);
    expect(await frugal.run(["embed", gguf, "text", ...reference])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("take an encoder") as string,
    });
  });
});

describe("measurements", () => {
  test("perplexity", async () => {
    const file = join(frugal.folder, "text.txt");
    writeFileSync(file, "the cat sat on the mat and the dog sat on the cat. ".repeat(8));
    const result = await json("perplexity", gguf, file, "--context", "32", "--chunks", "2", ...reference);
    expect(Object.keys(result)).toEqual(["perplexity", "standard_error", "tokens"]);
    expect(result["tokens"]).toBe(2 * 15);
    expect(result["perplexity"]).toBeGreaterThan(1);
    expect(await frugal.run(["perplexity", gguf, file, "--context", "60000", ...reference])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/two chunks of 60000 need 120000/) as string,
    });
  });
  test("bench", async () => {
    const result = (await json(
      "bench",
      gguf,
      "--prompt",
      "8",
      "--generate",
      "4",
      "--batch",
      "1,2",
      "--repeat",
      "2",
      ...reference,
    )) as Record<string, { all: number[]; median: number }> & { batch: Record<string, unknown>[] };
    expect(Object.keys(result)).toEqual(["prefill", "decode", "batch", "peak_rss_bytes"]);
    expect([result["prefill"]!.all.length, result["decode"]!.all.length]).toEqual([2, 2]);
    expect(result.batch.map(({ sequences }) => sequences)).toEqual([1, 2]);
    for (const { tokens_per_second } of result.batch) expect(tokens_per_second).toBeGreaterThan(0);
    const decode = await json("bench", gguf, "--prompt", "0", "--generate", "2", "--batch", "0", "--repeat", "1", ...reference);
    expect([Object.keys(decode), decode["batch"]]).toEqual([["decode", "batch", "peak_rss_bytes"], []]);
    const prefill = await json("bench", gguf, "--prompt", "8", "--generate", "0", "--repeat", "1", ...reference);
    expect([Object.keys(prefill), prefill["batch"]]).toEqual([["prefill", "batch", "peak_rss_bytes"], []]);
  });
  test("inspect", async () => {
    const result = await json("inspect", gguf);
    expect(result).toMatchObject({ kind: "text", tokenizer: true });
    expect(Object.values(result["formats"] as Record<string, { bytes: number }>).reduce((sum, { bytes }) => sum + bytes, 0)).toBe(
      result["bytes"],
    );
  });
});

describe("quantize", () => {
  test("before and after, with the perplexity of a text", async () => {
    const out = join(frugal.folder, "quantized.gguf");
    const text = join(frugal.folder, "quantized.txt");
    writeFileSync(text, "the cat sat on the mat. ".repeat(20));
    const measure = ["--text", text, "--context", "32", "--chunks", "2"];
    const result = (await json("quantize", gguf, out, "--format", "q8_0", ...measure, ...reference)) as {
      before: { bytes: number; perplexity: number };
      after: { bytes: number; perplexity: number };
    };
    expect(Object.keys(result)).toEqual(["before", "after", "formats", "out"]);
    expect([result.before.bytes, result.after.bytes]).toEqual([readFileSync(gguf).length, readFileSync(out).length]);
    expect(Math.abs(result.after.perplexity / result.before.perplexity - 1)).toBeLessThan(0.05);
    expect(result.after.perplexity).not.toBe(result.before.perplexity);
    const alone = await json("perplexity", out, text, "--context", "32", "--chunks", "2", ...reference);
    expect(alone["perplexity"]).toBe(result.after.perplexity);
    expect(await json("quantize", gguf, out, "--format", "Q4_0", "--pure", ...reference)).not.toHaveProperty("before.perplexity");
  });

  test.each<[string[], number, RegExp]>([
    [[], 2, /--format is missing; it may be F32/],
    [["--format", "Q4_O"], 1, /did you mean Q4_0\?/],
    [["--format", "Q4_0", "--context", "32"], 2, /--context is about the text to measure; name it with --text/],
    [["--format", "Q4_0", "--text", "nowhere.txt"], 1, /nowhere\.txt: cannot open it/],
  ])("%j is refused", async (args, code, message) => {
    const result = await frugal.run(["quantize", gguf, join(frugal.folder, "never.gguf"), ...args]);
    expect([result.code, result.stdout]).toEqual([code, ""]);
    expect(result.stderr).toMatch(message);
  });
});

describe("usage", () => {
  test("help everywhere", async () => {
    const { stdout } = await frugal.run(["--help"]);
    const commands = [...stdout.matchAll(/^ {2}(\w+) {2,}/gm)].map(([, name]) => name!);
    expect(commands.join(" ")).toBe(
      "run logits forward tokenize detokenize embed perplexity bench inspect serve merge quantize tune train doctor pull",
    );
    for (const command of commands) {
      const help = await frugal.run([command, "--help"]);
      expect(help.code).toBe(0);
      for (const option of ["--json", "--threads", "--backend", "--help"]) expect(help.stdout).toContain(option);
    }
    expect((await frugal.run(["--version"])).stdout.trim()).toBe(
      (JSON.parse(readFileSync(join(frugal.folder, "package.json"), "utf8")) as { version: string }).version,
    );
  });

  test.each([
    [["rnu"], "Did you mean run?"],
    [["run"], "MODEL is missing"],
    [["run", "m", "--temprature", "1"], "Did you mean --temperature?"],
    [["run", "m", "--max", "1"], "Did you mean --max-tokens?"],
    [["run", "m", "p", "q"], "one argument too many"],
    [["run", "m", "--seed", "x"], "give a whole number"],
    [["run", "m", "--seed"], "needs a value"],
    [["run", "m", "--seed", "1", "--seed", "2"], "given twice"],
    [["run", "m", "--backend", "natve"], "Did you mean native?"],
    [["run", "m", "--json=yes"], "takes no value"],
    [["run", "m", "-x"], "unknown option -x"],
    [["bench", "m", "--batch", "1,,2"], "whole numbers with commas"],
    [["bench", "m", "--generate", "0", "--batch", "2"], "--generate 0 writes nothing"],
    [["run", "m", "--threads", "0"], "the least is 1"],
  ])("%j is wrong usage", async (args, message) => {
    const { code, stdout, stderr } = await frugal.run(args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(message);
  });

  test("--backend names who computes: each writes the same, and doctor lists them", async () => {
    const text = async (backend: string): Promise<unknown> => {
      const args = ["run", "stories", "Once upon a time", "--max-tokens", "8", "--temperature", "0", "--json", "--backend", backend];
      return (JSON.parse((await frugal.run(args)).stdout) as { readonly text: string }).text;
    };
    expect(await text("wasm")).toBe(await text("reference"));
    const { stdout } = await frugal.run(["doctor", "--quick", "--json"]);
    const report = JSON.parse(stdout) as { readonly backends: readonly { readonly name: string; readonly runs: boolean }[] };
    expect(report.backends.filter(({ runs }) => runs).map(({ name }) => name)).toContain("wasm");
    const { stdout: told } = await frugal.run(["doctor", "--quick", "--backend", "reference"]);
    expect(told).toContain("+ reference: ");
    expect(told).not.toContain("+ wasm");
  });

  test.each([
    [["run", "missing.gguf", "hi"], "missing.gguf: there is no such file"],
    [["run", gguf, "hi", "--temperature", "-1", ...reference], "temperature is -1"],
    [["inspect", fileURLToPath(import.meta.url)], "not a kind of file that holds a model"],
    [["run", gguf, "hi", "--context", "100000000000"], "memory"],
    [["run", gguf, "hi", "--context", "100000000000", ...reference], "no memory for"],
    [["perplexity", encoder, gguf, ...reference], "perplexity: bert is an encoder"],
    [["bench", encoder, ...reference], "bench: bert is an encoder"],
    [["logits", encoder, "--ids", "1", ...reference], "logits: bert is an encoder"],
    [["logits", gguf, "--ids", "1,131", ...reference], "131 is not a token; ids go from 0 to 130"],
    [["embed", encoder, "the ".repeat(100), ...reference], "tokens, but the context holds 48; split it"],
    [["logits", join(families, "gpt-2"), "--ids", Array(75).fill(1).join(), ...reference], "context is 75, but the model reads at most 64"],
    [["forward", directory, "--inputs", join(families, "none"), "--out", "x"], "does not exist"],
  ])("%j fails with a message", async (args, message) => {
    const { code, stdout, stderr } = await frugal.run(args);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(message);
    expect(stderr.trimEnd().split("\n").length).toBe(1);
  });
});
