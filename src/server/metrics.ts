/** What the server counts, under vLLM's names, labels and buckets, so that dashboards made for it show this server too. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { GenerationReport, RequestReport, ServedModel, ServerObserver } from "./context.ts";
import { engineMetrics } from "./metrics-engine.ts";
import { gapSeconds, latencySeconds, requestSeconds, tokenCounts, waitSeconds } from "./metrics-buckets.ts";

export interface Metrics {
  readonly observer: ServerObserver;
  readonly contentType: string;
  /** Prometheus' text format 0.0.4. */
  write(): Promise<string>;
  /** Stops listening to the models. */
  close(): void;
}

const reasons: Readonly<Record<GenerationReport["outcome"], string>> = {
  stop: "stop",
  length: "length",
  aborted: "abort",
  failed: "error",
};

/** A registry of its own: two servers in one process count apart. */
export function createMetrics(models: readonly ServedModel[]): Metrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  const labelNames = ["model_name", "engine"] as const;
  const labelsOf = (model: string): { model_name: string; engine: string } => ({ model_name: model, engine: "0" });
  const histogram = (name: string, help: string, buckets: readonly number[]): ((model: string, value: number | undefined) => void) => {
    const made = new Histogram({ name: `vllm:${name}`, help, labelNames, buckets: [...buckets], registers });
    for (const { name: model } of models) made.zero(labelsOf(model));
    return (model, value) => {
      if (value !== undefined) made.observe(labelsOf(model), value);
    };
  };
  const longest = Math.max(...models.map(({ model }) => model.contextLength));
  const firstToken = histogram("time_to_first_token_seconds", "Seconds from a request to its first token.", waitSeconds);
  const tokenGap = histogram("inter_token_latency_seconds", "Seconds between two tokens of a text.", gapSeconds);
  const timePerToken = histogram(
    "request_time_per_output_token_seconds",
    "Mean seconds a token after the first, of a request.",
    gapSeconds,
  );
  const endToEnd = histogram("e2e_request_latency_seconds", "Seconds that a request took.", latencySeconds);
  const queued = histogram("request_queue_time_seconds", "Seconds that a request waited to be scheduled.", latencySeconds);
  const prefill = histogram("request_prefill_time_seconds", "Seconds from being scheduled to the first token.", latencySeconds);
  const decode = histogram("request_decode_time_seconds", "Seconds from the first token to the last.", latencySeconds);
  const inference = histogram("request_inference_time_seconds", "Seconds from being scheduled to the last token.", latencySeconds);
  const promptTokens = histogram("request_prompt_tokens", "Tokens of a request's prompt.", tokenCounts(longest));
  const generated = histogram("request_generation_tokens", "Tokens that a request wrote.", tokenCounts(longest));
  const computed = histogram("request_prefill_kv_computed_tokens", "Tokens of a prompt that no cache had.", tokenCounts(longest));
  const asked = histogram("request_params_max_tokens", "Most tokens that a request asked for.", tokenCounts(longest));
  const choices = histogram("request_params_n", "Texts that a request asked for.", [1, 2, 5, 10, 20]);

  const success = new Counter({
    name: "vllm:request_success_total",
    help: "Texts that ended, by reason.",
    labelNames: [...labelNames, "finished_reason"],
    registers,
  });
  for (const { name } of models)
    for (const reason of Object.values(reasons)) success.inc({ ...labelsOf(name), finished_reason: reason }, 0);
  const corrupted = new Counter({ name: "vllm:corrupted_requests_total", help: "Texts that ended in NaN.", labelNames, registers });
  for (const { name } of models) corrupted.inc(labelsOf(name), 0);

  const requests = new Counter({
    name: "http_requests_total",
    help: "Requests by route, method and status.",
    labelNames: ["handler", "method", "status"],
    registers,
  });
  const durations = new Histogram({
    name: "http_request_duration_seconds",
    help: "Seconds from a request to the end of its answer.",
    labelNames: ["handler", "method"],
    buckets: [...requestSeconds],
    registers,
  });
  const started = Date.now() / 1000;
  processMetrics(registers, started);
  const engines = engineMetrics(models, registers, labelsOf);

  return {
    contentType: registry.contentType,
    write: () => registry.metrics(),
    close: () => engines.close(),
    observer: {
      requestEnded({ route, method, status, milliseconds }: RequestReport) {
        requests.inc({ handler: route, method, status: `${Math.floor(status / 100)}xx` });
        durations.observe({ handler: route, method }, milliseconds / 1000);
      },
      generationStarted(model, n, maxTokens) {
        choices(model, n);
        asked(model, maxTokens);
      },
      tokenGap: (model, milliseconds) => tokenGap(model, milliseconds / 1000),
      generationEnded(report) {
        const { model, outcome } = report;
        success.inc({ ...labelsOf(model), finished_reason: reasons[outcome] });
        if (report.errorCode === "FRUGAL_NUMERIC") corrupted.inc(labelsOf(model));
        if (outcome === "failed") return;
        const first = seconds(report.timeToFirstToken);
        const waited = seconds(report.queued);
        const total = report.total / 1000;
        endToEnd(model, total);
        queued(model, waited);
        firstToken(model, first);
        promptTokens(model, report.promptTokens);
        generated(model, report.generatedTokens);
        computed(model, report.promptTokens - report.cachedTokens);
        if (first === undefined) return;
        prefill(model, first - (waited ?? 0));
        decode(model, total - first);
        inference(model, total - (waited ?? 0));
        if (report.generatedTokens > 1) timePerToken(model, (total - first) / (report.generatedTokens - 1));
      },
    },
  };
}

const seconds = (milliseconds: number | undefined): number | undefined => (milliseconds === undefined ? undefined : milliseconds / 1000);

/** What Prometheus' client libraries report of a process. */
function processMetrics(registers: Registry[], started: number): void {
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  };
  gauge("process_resident_memory_bytes", "Memory that the process holds, in bytes.", () => process.memoryUsage.rss());
  gauge("process_start_time_seconds", "When the server started, in seconds since 1970.", () => started);
  new Counter({
    name: "process_cpu_seconds_total",
    help: "Seconds that the process computed, on all cores together.",
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
}
