/** The experiments of docs/serving.md in their smallest form, on the sources: that they run, and what must hold whatever the machine. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { sharedData } from "../../testing/shared.ts";
import { arrivalTimes, lognormal } from "../../src/evaluate/load/arrivals.ts";
import { planLoad } from "../../src/evaluate/load/plan.ts";
import { runLoad } from "../../src/evaluate/load/run.ts";
import { readTrace } from "../../src/evaluate/load/traces.ts";
import { load as loadModel } from "../../src/serving/model.ts";
import { createPages } from "../../src/serving/pages.ts";
import { serve } from "../../src/server/serve.ts";
import { uniform } from "../../src/tensor/random.ts";
import { allocation } from "./allocation.ts";
import { batching } from "./batching.ts";
import { barChart } from "./chart.ts";
import type { Setting } from "./experiment.ts";
import { experiments } from "./index.ts";
import type { Library } from "./library.ts";
import { longPrompt } from "./long-prompt.ts";
import { overhead } from "./overhead.ts";
import { fillIn } from "./page.ts";
import { prefixes } from "./prefixes.ts";
import { programs } from "./programs.ts";
import { samples } from "./samples.ts";

const library: Library = {
  load: loadModel,
  serve: (model, options) => serve(model as Awaited<ReturnType<typeof loadModel>>, options),
  uniform,
  createPages,
  lognormal,
  arrivalTimes,
  readTrace,
};

const { signal } = new AbortController();
const traces = sharedData("serving");
const setting: Setting = {
  library,
  model: "stories",
  threads: 1,
  quick: true,
  ...(traces.skip ? {} : { traces: traces.path }),
  signal,
  say() {},
  async load(url) {
    const requests = planLoad({ requests: 4, prompts: { kind: "words" }, promptTokens: 4, outputTokens: 24, seed: 0 });
    const outcomes = await runLoad({ url, endpoint: "chat", model: "default", timeout: 20_000 }, requests, { signal });
    expect(outcomes.map(({ kind }) => kind)).toEqual(Array(4).fill("completed"));
    return 0.5;
  },
};

test("pages waste less than reservations, and the real pages come back", async () => {
  const result = await allocation.run(setting);
  for (const { uses } of result.traces) {
    const used = (policy: string): number => uses.find((use) => use.policy === policy)!.used;
    expect(used("pages of 16")).toBeGreaterThan(0.97);
    expect(used("pages of 32")).toBeGreaterThan(0.95);
    expect(used("reserve what it will be")).toBeLessThan(used("pages of 32"));
    expect(used("reserve the longest")).toBeLessThan(used("reserve what it will be"));
  }
  expect(allocation.table(result)).toContain("| pages of 32 |");
});

test("answers to one prompt share its pages, and are the same", async () => {
  const { alone, shared, sameTokens } = await samples.run(setting);
  expect(sameTokens).toBe(true);
  expect(shared.pages / alone.pages).toBeLessThan(0.6);
});

test("batching changes no token", async () => {
  const result = await batching.run(setting);
  expect(result.sameTokens).toBe(true);
  expect(result.ways.map(({ tokensPerSecond }) => tokensPerSecond.length)).toEqual([1, 1]);
});

test("a long prompt amid others changes no token, however it is cut", async () => {
  const result = await longPrompt.run(setting);
  expect(result.sameTokens).toBe(true);
  for (const { worstGap } of result.rows) expect(worstGap[0]).toBeGreaterThan(0);
});

test("shared beginnings are found, change no token, and what shares nothing finds nothing", async () => {
  const { rows } = await prefixes.run(setting);
  expect(rows.map(({ sameTokens }) => sameTokens)).toEqual([true, true, true, true]);
  const share = rows.map(({ cachedTokens, promptTokens }) => cachedTokens / promptTokens);
  expect(Math.min(...share.slice(0, 3))).toBeGreaterThan(0.4);
  expect(share[3]).toBe(0);
});

test("overhead is seen in the engine alone and behind HTTP", async () => {
  const { alone, http } = await overhead.run(setting);
  expect(alone.count).toBeGreaterThan(0);
  // On a busy machine so short texts may follow each other.
  for (const steps of [alone, http]) expect(steps.period).toBeGreaterThanOrEqual(steps.run);
});

test("programs get what they need, and their output a form", () => {
  const args = programs.flatMap((program) => program.args({ model: "m.gguf", threads: 3, llamaCpp: "bin", soakMinutes: 7 }));
  for (const wanted of ["m.gguf", "3", "bin", "7"]) expect(args).toContain(wanted);
  const table = (name: string, stdout: string): string => programs.find((program) => program.name === name)!.table(stdout);
  expect(table("speculation", "a\n")).toBe("```\na\n```");
  const quiet = [1, 2, 3].map((at) => ({ at, resident: at * 1e6, openFiles: 9, pagesHeld: 0 }));
  const result = { seconds: 60, sent: 5, answered: 2, violations: ["status: 500"], quiet, memorySlope: 1e6, leftOut: [] };
  expect(table("soak", JSON.stringify({ result }))).toMatch(/wrong \| status: 500[^]*1 MB, 3 MB; 1\.00 MB a minute/);
});

test("charts show every value, and escape what they are told", () => {
  const svg = barChart({
    title: "a < b",
    unit: "ms",
    labels: ["x", "y"],
    series: [{ name: "s", values: [1, 30] }],
    goal: { name: "goal", value: 5 },
  });
  expect(svg.match(/<rect/g)).toHaveLength(3);
  expect(svg).toContain("a &#60; b");
  expect(svg).toContain("y: 30 ms");
});

test("the page has a place for each experiment, and keeps its own words", () => {
  const page = readFileSync(new URL("../../docs/serving.md", import.meta.url), "utf8");
  for (const { name } of [...experiments, ...programs])
    expect(fillIn(page, name, "TABLE")).toContain(`<!-- measured: ${name} -->\n\nTABLE\n\n<!-- end -->`);
  expect(() => fillIn(page, "nothing", "")).toThrow(/no place for nothing/);
  expect(fillIn("a <!-- measured: x -->\nold\n<!-- end --> b", "x", "new")).toBe("a <!-- measured: x -->\n\nnew\n\n<!-- end --> b");
});
