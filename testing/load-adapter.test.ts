/** `load` with an adapter, as programs use it. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { adapterCases, adapterFixtures, distance } from "./adapters.ts";
import { load } from "../src/index.ts";

const families = fileURLToPath(new URL("./fixtures/families/", import.meta.url));
const fixture = adapterFixtures.find(({ name }) => name === "lora")!;
const base = `${families}llama-3`;

test("a model answers as its adapter taught it, and without it as before", async () => {
  const cases = await adapterCases(fixture);
  const ids = Array.from(cases.get("input_ids")!);
  const wanted = cases.get("logits")!;
  const last = wanted.subarray(wanted.length - 131);
  await using tuned = await load(base, { adapter: fixture.path, backend: "reference", cache: "F32" });
  expect(distance((await tuned.logits(ids))[0]!, last)).toBeLessThan(5e-4);
  await using plain = await load(base, { backend: "reference", cache: "F32" });
  expect(distance((await plain.logits(ids))[0]!, last)).toBeGreaterThan(0.1);
  await using same = await load(base, { adapter: { path: fixture.path }, backend: "reference", cache: "F32" });
  expect(distance((await same.logits(ids))[0]!, last)).toBeLessThan(5e-4);
});

test.each<[unknown, RegExp]>([
  ["", /adapter is ""; give the path of one/],
  [3, /adapter is 3/],
  [{ path: fixture.path, alhpa: 3 }, /unknown option "alhpa"; did you mean alpha/],
  [`${base}/nothing`, /there is no such adapter/],
  [base, /has no adapter_config\.json; it is a whole model/],
  [adapterFixtures.find(({ name }) => name === "prompt")!.path, /PROMPT_TUNING, learned rows/],
])("adapter %j is refused", async (adapter, message) => {
  await expect(load(base, { adapter: adapter as string, backend: "reference" })).rejects.toThrow(message);
});

test("options that nobody knows name the nearest", async () => {
  await expect(load(base, { adaptor: "x" } as object)).rejects.toThrow(/did you mean adapter/);
});

test("an adapter counts in the memory that may be used", async () => {
  await using plain = await load(base, { backend: "reference" });
  await using tuned = await load(base, { adapter: fixture.path, backend: "reference" });
  expect(tuned.inspect().memory!.weights).toBeGreaterThan(plain.inspect().memory!.weights);
});
