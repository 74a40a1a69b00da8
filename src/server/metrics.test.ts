/** GET /metrics: names, labels and buckets as vLLM has them, and numbers that follow what happened. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ServedModel, serveStories } from "../../testing/serving.ts";
import { tokenCounts } from "./metrics-buckets.ts";

let served: ServedModel;
beforeAll(async () => {
  served = await serveStories();
});
afterAll(() => served[Symbol.asyncDispose]());

async function scrape(): Promise<Map<string, number>> {
  const response = await fetch(`${served.url}/metrics`);
  expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]));
}
const labels = '{model_name="stories",engine="0"}';

test("all metrics are there before the first request", async () => {
  const found = await scrape();
  const names = new Set([...found.keys()].map((key) => key.replace(/\{.*/, "").replace(/_(?:bucket|sum|count)$/, "")));
  for (const name of [
    "num_requests_running num_requests_waiting kv_cache_usage_perc prompt_tokens_total generation_tokens_total",
    "prefix_cache_queries_total prefix_cache_hits_total num_preemptions_total request_success_total corrupted_requests_total",
    "time_to_first_token_seconds inter_token_latency_seconds e2e_request_latency_seconds request_queue_time_seconds",
    "request_prefill_time_seconds request_decode_time_seconds request_inference_time_seconds iteration_tokens_total",
    "request_prompt_tokens request_generation_tokens request_params_n request_params_max_tokens request_time_per_output_token_seconds",
    "spec_decode_num_drafts_total spec_decode_num_draft_tokens_total spec_decode_num_accepted_tokens_total lora_requests_info",
  ].flatMap((line) => line.split(" ")))
    expect(names, name).toContain(`vllm:${name}`);
  for (const name of ["process_resident_memory_bytes", "process_cpu_seconds_total"]) expect(found.get(name)).toBeGreaterThan(0);
});

test("requests, tokens and times are counted", async () => {
  const before = await scrape();
  const answer = await served.post("/v1/chat/completions", {
    messages: [{ role: "user", content: "Tell me of a cat." }],
    max_tokens: 10,
    n: 2,
    temperature: 1,
    seed: 1,
    ignore_eos: true,
  });
  const { usage } = (await answer.json()) as { usage: { prompt_tokens: number } };
  const after = await scrape();
  const change = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  expect(change(`vllm:generation_tokens_total${labels}`)).toBe(20);
  expect(change(`vllm:prompt_tokens_total${labels}`)).toBe(2 * usage.prompt_tokens);
  expect(change('vllm:request_success_total{model_name="stories",engine="0",finished_reason="length"}')).toBe(2);
  for (const [name, count] of Object.entries({
    time_to_first_token_seconds: 2,
    e2e_request_latency_seconds: 2,
    request_queue_time_seconds: 2,
    inter_token_latency_seconds: 18,
    request_params_n: 1,
    request_params_max_tokens: 1,
  }))
    expect(change(`vllm:${name}_count${labels}`), name).toBe(count);
  expect(change(`vllm:request_generation_tokens_sum${labels}`)).toBe(20);
  expect(change(`vllm:iteration_tokens_total_sum${labels}`)).toBeGreaterThanOrEqual(18);
  expect(change('http_requests_total{handler="/v1/chat/completions",method="POST",status="2xx"}')).toBe(1);
  expect(change('http_request_duration_seconds_count{handler="/v1/chat/completions",method="POST"}')).toBe(1);
  expect(after.get(`vllm:num_requests_running${labels}`)).toBe(0);
  expect(after.get(`vllm:kv_cache_usage_perc${labels}`)).toBe(0);
});

test("an aborted text counts as such", async () => {
  const controller = new AbortController();
  const body = { prompt: "Once", max_tokens: 500, ignore_eos: true, stream: true, messages: [{ role: "user", content: "Hi" }] };
  const { prompt: _, ...chat } = body;
  const response = await served.post("/v1/chat/completions", chat, { signal: controller.signal });
  await response.body!.getReader().read();
  controller.abort();
  const aborted = 'vllm:request_success_total{model_name="stories",engine="0",finished_reason="abort"}';
  await expect.poll(async () => (await scrape()).get(aborted), { timeout: 20_000 }).toBe(1);
});

test("buckets of token counts go up to the context", () => {
  expect(tokenCounts(512)).toEqual([1, 2, 5, 10, 20, 50, 100, 200, 500]);
  expect(tokenCounts(1)).toEqual([1]);
});

test("two servers count apart", async () => {
  await using other = await serveStories();
  await other.post("/tokenize", { prompt: "a" });
  expect((await scrape()).has('http_requests_total{handler="/tokenize",method="POST",status="2xx"}')).toBe(false);
});
