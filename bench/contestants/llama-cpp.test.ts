import { expect, test } from "vitest";
import { finalPerplexity, lastNumber } from "./llama-cpp.ts";

test("a speed is read from the last line of JSON", () => {
  const bench = '{"n_prompt": 0, "n_gen": 128, "avg_ts": 12.5}\n{"n_prompt": 0, "n_gen": 128, "avg_ts": 58.25, "samples_ts": [ 58.25 ]}\n';
  expect(lastNumber(bench, "avg_ts")).toBe(58.25);
  const batched = '\n{"n_kv_max": 8192, "pp": 128, "tg": 64, "pl": 8, "speed_pp": 389.1, "t_tg": 4.4, "speed_tg": 116.4}\n\n';
  expect(lastNumber(batched, "speed_tg")).toBe(116.4);
});

test.each([
  ["", "no avg_ts"],
  ["| model | t/s |", "no avg_ts"],
  ['{"avg_ts": 0}', "no avg_ts"],
  ['{"other": 1}', "no avg_ts"],
])("%j holds no speed", (output, message) => expect(() => lastNumber(output, "avg_ts")).toThrow(message));

test("perplexity is the final estimate, not that of a chunk", () => {
  const log = "[1]11.4828,[2]9.0946,\n0.04.627.192 I Final estimate: PPL = 9.0946 +/- 1.18715\n";
  expect(finalPerplexity(log)).toBe(9.0946);
  expect(() => finalPerplexity("[1]11.4828,")).toThrow("no final estimate");
});
