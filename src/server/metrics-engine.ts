/** What the engines themselves count: read from their statistics when somebody asks, and from each step. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { ServingStats } from "../serving/serving-stats.ts";
import type { FrugalModel } from "../serving/model.ts";
import type { ServedModel } from "./context.ts";
import { adaptersOf } from "./find-model.ts";
import { gapSeconds, iterationTokens } from "./metrics-buckets.ts";

type Labels = Readonly<Record<"model_name" | "engine", string>>;

const gauges: readonly (readonly [name: string, help: string, of: (stats: ServingStats) => number])[] = [
  ["vllm:num_requests_running", "Texts being written.", (stats) => stats.running],
  ["vllm:num_requests_waiting", "Texts waiting for their turn.", (stats) => stats.waiting],
  ["vllm:kv_cache_usage_perc", "Share of the cache's pages that texts hold, 0 to 1; kept prefixes count as free.", pageUsage],
  ["frugal:queue_limit", "Texts that may wait before requests are refused.", (stats) => stats.queueLimit],
  ["frugal:predicted_wait_seconds", "Seconds that a text would wait if it came now.", (stats) => stats.predictedWaitSeconds],
];
const counters: typeof gauges = [
  ["vllm:prompt_tokens_total", "Tokens of prompts.", (stats) => stats.promptTokens],
  ["vllm:generation_tokens_total", "Tokens written.", (stats) => stats.generatedTokens],
  ["vllm:prefix_cache_queries_total", "Tokens of prompts that were looked up in the cache.", (stats) => stats.promptTokens],
  ["vllm:prefix_cache_hits_total", "Tokens of prompts that the cache had.", (stats) => stats.cachedTokens],
  [
    "vllm:num_preemptions_total",
    "Texts that gave their pages to others and were computed again or read back.",
    (stats) => stats.preemptions,
  ],
  ["vllm:spec_decode_num_draft_tokens_total", "Tokens proposed by speculation.", (stats) => stats.draftedTokens],
  ["vllm:spec_decode_num_accepted_tokens_total", "Proposed tokens that stood.", (stats) => stats.acceptedTokens],
  ["frugal:steps_total", "Steps of the engine.", (stats) => stats.steps],
  ["frugal:spilled_pages_total", "Pages written to disk to make room.", (stats) => stats.spilledPages],
  ["frugal:evicted_prefixes_total", "Kept prefixes that were given up.", (stats) => stats.evictedPrefixes],
];

export function engineMetrics(
  models: readonly ServedModel[],
  registers: Registry[],
  labelsOf: (model: string) => Labels,
): { close(): void } {
  const texts = models.filter(({ model }) => model.kind === "text");
  if (texts.length === 0) return { close: () => undefined };
  const labelNames = ["model_name", "engine"] as const;
  for (const [name, help, of] of gauges)
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        for (const { name: model, model: served } of texts) this.set(labelsOf(model), of(served.stats()));
      },
    });
  for (const [name, help, of] of counters)
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const { name: model, model: served } of texts) this.inc(labelsOf(model), of(served.stats()));
      },
    });
  const rows = new Histogram({
    name: "vllm:iteration_tokens_total",
    help: "Tokens that a step computed.",
    labelNames,
    buckets: [...iterationTokens],
    registers,
  });
  const steps = new Histogram({
    name: "frugal:step_seconds",
    help: "Seconds that a step took.",
    labelNames,
    buckets: [...gapSeconds],
    registers,
  });
  const overhead = new Counter({
    name: "frugal:step_overhead_seconds_total",
    help: "Seconds that steps spent outside of the model's program.",
    labelNames,
    registers,
  });
  const drafts = new Counter({
    name: "vllm:spec_decode_num_drafts_total",
    help: "Steps that checked proposed tokens.",
    labelNames,
    registers,
  });
  new Gauge({
    name: "vllm:lora_requests_info",
    help: "When the adapters in use were last looked at, in seconds since 1970; the labels name them.",
    labelNames: ["max_lora", "running_lora_adapters", "waiting_lora_adapters"],
    registers,
    collect() {
      this.reset();
      for (const { model } of texts) this.set(adapterLabels(model), Date.now() / 1000);
    },
  });
  const leave = texts.map(({ name, model }) => {
    const labels = labelsOf(name);
    rows.zero(labels);
    steps.zero(labels);
    drafts.inc(labels, 0);
    overhead.inc(labels, 0);
    return model.onStep((report) => {
      rows.observe(labels, report.rows);
      steps.observe(labels, report.milliseconds / 1000);
      overhead.inc(labels, report.overheadMilliseconds / 1000);
      if (report.draftRows > 0) drafts.inc(labels);
    });
  });
  return { close: () => leave.forEach((stop) => stop()) };
}

/** Of the table that is fullest: the one that makes texts wait. */
function pageUsage({ pages }: ServingStats): number {
  return Math.max(0, ...Object.values(pages).map(({ total, free, cached }) => (total > 0 ? 1 - (free + cached) / total : 0)));
}

function adapterLabels(model: FrugalModel): { max_lora: string; running_lora_adapters: string; waiting_lora_adapters: string } {
  const adapters = adaptersOf(model);
  return {
    max_lora: String(adapters.length),
    running_lora_adapters: adapters
      .filter(({ users = 0 }) => users > 0)
      .map(({ name }) => name)
      .join(","),
    waiting_lora_adapters: "",
  };
}
