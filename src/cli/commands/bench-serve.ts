/** frugal bench serve: what a server is like for those who use it. Works with any server that speaks OpenAI's protocol. */
import { firstModel, type Outcome, serverAddress, type Target } from "../../evaluate/load/client.ts";
import { type LoadPlan, planLoad } from "../../evaluate/load/plan.ts";
import type { PromptSource } from "../../evaluate/load/prompts.ts";
import { type LoadReport, reportLoad, type ServiceLevel } from "../../evaluate/load/report.ts";
import { runLoad } from "../../evaluate/load/run.ts";
import type { Distribution } from "../../evaluate/load/statistics.ts";
import { readTrace } from "../../evaluate/load/traces.ts";
import { openFile } from "../../formats/files.ts";
import { FrugalError, nearest } from "../../tensor/error.ts";
import { type Command, type Given, UsageError } from "../command.ts";
import { interruptible } from "../open-model.ts";
import { printJson, printLine, progressLine, round } from "../output.ts";

const whole = { kind: "integer", label: "N" } as const;

export const benchServe: Command = {
  name: "bench serve",
  summary:
    "Measures a server under load, by the definitions of vLLM's bench serve: times to the first token and between tokens, throughput, goodput.",
  arguments: [{ label: "URL", help: "the address of a server with OpenAI's protocol, as http://127.0.0.1:8080" }],
  options: [
    { name: "requests", value: { ...whole, least: 1 }, help: "how many are sent (default: 32, or all of a trace)" },
    { name: "warmup", value: { ...whole, least: 0 }, help: "requests before these that are not counted (default: 0)" },
    {
      name: "concurrency",
      value: { ...whole, least: 1 },
      help: "most requests under way at once (default: 8, or no limit with --rate or --trace)",
    },
    { name: "rate", value: { label: "R", kind: "number" }, help: "requests a second; without it, the next is sent when one has ended" },
    {
      name: "burstiness",
      value: { label: "B", kind: "number" },
      help: "of --rate: 1 is a Poisson process, less is burstier, more is more even (default: 1)",
    },
    {
      name: "trace",
      value: { label: "FILE", kind: "text" },
      help: "times and lengths of a recorded load: Azure's CSV or Mooncake's JSON lines",
    },
    { name: "trace-scale", value: { label: "X", kind: "number" }, help: "times of the trace are multiplied with this (default: 1)" },
    { name: "length-scale", value: { label: "X", kind: "number" }, help: "lengths of the trace are multiplied with this (default: 1)" },
    { name: "prompt-tokens", value: { ...whole, least: 1 }, help: "tokens of a prompt, about (default: 100)" },
    { name: "output-tokens", value: { ...whole, least: 1 }, help: "tokens that are written, whether the text ends or not (default: 64)" },
    { name: "shared-tokens", value: { ...whole, least: 0 }, help: "tokens at the beginning that all prompts share (default: 0)" },
    { name: "text", value: { label: "FILE", kind: "text" }, help: "prompts are pieces of this text (default: random words)" },
    { name: "vocabulary", value: { ...whole, least: 1 }, help: "prompts are random ids below this; only for completions" },
    { name: "endpoint", value: { label: "NAME", kind: ["chat", "completions"] }, help: "chat or completions (default: completions)" },
    { name: "model", value: { label: "NAME", kind: "text" }, help: "as the server calls it (default: the first it lists)" },
    { name: "api-key", value: { label: "KEY", kind: "text" }, help: "the server's key" },
    { name: "extra-body", value: { label: "JSON", kind: "text" }, help: "an object whose fields are put into each request" },
    {
      name: "goodput",
      value: { label: "ttft:200,tpot:50", kind: "text" },
      help: "limits in milliseconds of ttft, tpot, e2el; requests within them are counted",
    },
    { name: "cancel-rate", value: { label: "X", kind: "number" }, help: "share of requests, 0 to 1, whose client goes away (default: 0)" },
    { name: "cancel-delay", value: { label: "MS", kind: "number" }, help: "after how many milliseconds (default: 500)" },
    { name: "timeout", value: { label: "S", kind: "number" }, help: "seconds that a request may take (default: 600)" },
    { name: "seed", value: { ...whole, least: 0 }, help: "of prompts, times and cancellations (default: 0)" },
  ],
  notes: ["Ctrl-C ends it and prints what there is. Tokens are the server's count where it gives one (usage), else events."],
  run: (given) =>
    interruptible(async (signal) => {
      const requests = planLoad(await planOf(given));
      const limits = limitsOf(given.text("goodput"));
      const target = await targetOf(given, signal);
      const concurrency =
        given.number("concurrency") ?? (given.number("rate") === undefined && given.text("trace") === undefined ? 8 : Infinity);
      const warmups = given.number("warmup") ?? 0;
      if (warmups > 0)
        await runLoad(
          target,
          Array.from({ length: warmups }, (_, i) => withoutTime(requests[i % requests.length]!)),
          { concurrency, signal },
        );
      const progress = progressLine();
      const before = process.cpuUsage();
      const all: Outcome[] = [];
      await runLoad(target, requests, {
        concurrency,
        signal,
        onOutcome(outcome, done) {
          all.push(outcome);
          progress.update(`${done} of ${requests.length} requests${outcome.error === undefined ? "" : `; ${outcome.error}`}`);
        },
      });
      progress.end();
      const used = process.cpuUsage(before);
      const report = reportLoad(all, limits);
      const clientCpu = report.seconds > 0 ? (used.user + used.system) / 1e6 / report.seconds : 0;
      await (given.flag("json") ? printJson(jsonOf(target, report, clientCpu, signal.aborted)) : printReport(report, clientCpu));
      if (signal.aborted) process.exitCode = 1;
      else if (report.completed === 0 && report.cancelled === 0)
        throw new FrugalError("FRUGAL_NETWORK", `bench serve: no request succeeded; the first failed with: ${all[0]?.error ?? "nothing"}`);
    }),
};

const withoutTime = ({ at: _, ...request }: ReturnType<typeof planLoad>[number]): ReturnType<typeof planLoad>[number] => request;

async function targetOf(given: Given, signal: AbortSignal): Promise<Target> {
  for (const name of ["threads", "backend"])
    if (given.text(name) !== undefined) throw new UsageError(`bench serve: --${name} is the server's business; give it to the server`);
  const url = serverAddress(given.arguments[0]!);
  const apiKey = given.text("api-key");
  const extraBody = extraOf(given.text("extra-body"));
  return {
    url,
    endpoint: (given.text("endpoint") ?? "completions") as Target["endpoint"],
    model: given.text("model") ?? (await firstModel(url, apiKey, signal)),
    timeout: Math.min(2 ** 31 - 1, 1000 * positive(given, "timeout", 600)),
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(extraBody === undefined ? {} : { extraBody }),
  };
}

async function planOf(given: Given): Promise<LoadPlan> {
  const file = given.text("trace");
  const only = (names: readonly string[], other: string): void => {
    const wrong = names.find((name) => given.text(name) !== undefined);
    if (wrong !== undefined) throw new UsageError(`bench serve: --${wrong} ${other}`);
  };
  if (file === undefined) only(["trace-scale", "length-scale"], "is of a trace; give one with --trace FILE");
  else only(["rate", "burstiness", "prompt-tokens", "output-tokens", "shared-tokens"], "is what the trace says; leave one of them out");
  if (given.number("rate") === undefined) only(["burstiness"], "is of --rate; give one");
  if (given.number("cancel-rate") === undefined) only(["cancel-delay"], "is of --cancel-rate; give one");
  const cancelRate = given.number("cancel-rate") ?? 0;
  if (!(cancelRate >= 0 && cancelRate <= 1)) throw new UsageError(`--cancel-rate is ${cancelRate}; give a share from 0 to 1`);
  const count = given.number("requests");
  const trace = file === undefined ? undefined : readTrace(await readWhole(file), file, count);
  return {
    requests: count ?? trace?.length ?? 32,
    prompts: await promptsOf(given),
    promptTokens: given.number("prompt-tokens") ?? 100,
    outputTokens: given.number("output-tokens") ?? 64,
    sharedTokens: given.number("shared-tokens") ?? 0,
    ...(given.number("rate") === undefined ? {} : { rate: positive(given, "rate", 1) }),
    burstiness: positive(given, "burstiness", 1),
    ...(trace === undefined ? {} : { trace }),
    traceScale: positive(given, "trace-scale", 1),
    lengthScale: positive(given, "length-scale", 1),
    cancelRate,
    cancelDelay: positive(given, "cancel-delay", 500),
    seed: given.number("seed") ?? 0,
  };
}

async function promptsOf(given: Given): Promise<PromptSource> {
  const [file, vocabulary] = [given.text("text"), given.number("vocabulary")];
  if (file !== undefined && vocabulary !== undefined)
    throw new UsageError("bench serve: prompts are of --text or of --vocabulary; give one of them");
  if (vocabulary !== undefined) {
    if (given.text("endpoint") === "chat")
      throw new UsageError("bench serve: a conversation has no ids; take --endpoint completions, or leave out --vocabulary");
    return { kind: "ids", vocabulary };
  }
  if (file === undefined) return { kind: "words" };
  const text = await readWhole(file);
  if (text.trim() === "") throw new FrugalError("FRUGAL_BAD_FILE", `${file}: is empty; give a text`);
  return { kind: "text", text };
}

/** Traces and texts are a few megabytes. */
const largestFile = 1 << 28;

async function readWhole(path: string): Promise<string> {
  const source = await openFile(path);
  try {
    if (source.byteLength > largestFile)
      throw new FrugalError("FRUGAL_BAD_FILE", `${path}: has ${source.byteLength} bytes; the most is ${largestFile}`);
    return new TextDecoder().decode(await source.read(0, source.byteLength));
  } finally {
    await source.close();
  }
}

function positive(given: Given, name: string, usual: number): number {
  const value = given.number(name) ?? usual;
  if (value > 0 && Number.isFinite(value)) return value;
  throw new UsageError(`--${name} is ${value}; give a number above 0`);
}

const metrics = ["ttft", "tpot", "e2el"] as const;

function limitsOf(text: string | undefined): ServiceLevel {
  if (text === undefined) return {};
  const limits: Record<string, number> = {};
  for (const part of text.split(/[, ]+/)) {
    const [name = "", value = ""] = part.split(":");
    if (!(metrics as readonly string[]).includes(name)) {
      const near = nearest(name, metrics);
      throw new UsageError(
        `--goodput: ${JSON.stringify(name)} is no metric; there are ${metrics.join(", ")}${near === undefined ? "" : `. Did you mean ${near}?`}`,
      );
    }
    if (!/^\d+(\.\d+)?$/.test(value))
      throw new UsageError(`--goodput: ${name} is ${JSON.stringify(value)}; give milliseconds, as ${name}:200`);
    limits[name] = Number(value);
  }
  return limits;
}

function extraOf(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Said below.
  }
  throw new UsageError(`--extra-body is ${JSON.stringify(text.slice(0, 80))}; give a JSON object`);
}

const durations = [
  ["ttft", "time to first token"],
  ["tpot", "time per output token"],
  ["itl", "between tokens"],
  ["e2el", "end to end"],
] as const;

function jsonOf(target: Target, report: LoadReport, clientCpu: number, interrupted: boolean): unknown {
  const rounded = (value: Distribution | undefined): unknown =>
    value && Object.fromEntries(Object.entries(value).map(([name, number]) => [name, round(number as number, 3)]));
  return {
    url: target.url,
    endpoint: target.endpoint,
    model: target.model,
    interrupted,
    requests: report.requests,
    completed: report.completed,
    cancelled: report.cancelled,
    failed: report.failed,
    errors: report.errors,
    retried: report.retried,
    seconds: round(report.seconds, 3),
    prompt_tokens: report.promptTokens,
    cached_tokens: report.cachedTokens,
    output_tokens: report.outputTokens,
    tokens_counted_by: report.countedBy,
    request_throughput: round(report.requestThroughput, 4),
    output_throughput: round(report.outputThroughput, 3),
    total_token_throughput: round(report.totalThroughput, 3),
    peak_output_throughput: report.peakOutputThroughput,
    peak_concurrency: report.peakConcurrency,
    ...(report.goodput === undefined ? {} : { request_goodput: round(report.goodput, 4) }),
    ...Object.fromEntries(durations.map(([name]) => [`${name}_ms`, rounded(report[name])])),
    client_cpu: round(clientCpu, 4),
  };
}

async function printReport(report: LoadReport, clientCpu: number): Promise<void> {
  const { completed, cancelled, failed, seconds } = report;
  const lines = [
    `${completed} requests completed, ${failed} failed, ${cancelled} cancelled in ${seconds.toFixed(2)} s; at most ${report.peakConcurrency} at once`,
    ...Object.entries(report.errors).map(([error, count]) => `  ${count} failed: ${error}`),
    `${report.promptTokens} tokens read (${report.cachedTokens} cached), ${report.outputTokens} written, counted by ${report.countedBy}`,
    `throughput: ${report.requestThroughput.toFixed(2)} requests/s, ${report.outputThroughput.toFixed(1)} tokens/s written, ${report.totalThroughput.toFixed(1)} in all; best second ${report.peakOutputThroughput}`,
    ...(report.goodput === undefined ? [] : [`goodput: ${report.goodput.toFixed(2)} requests/s`]),
    `${"milliseconds".padEnd(22)}${["mean", "p50", "p90", "p95", "p99", "most"].map((name) => name.padStart(10)).join("")}`,
    ...durations.flatMap(([name, title]) => {
      const values = report[name];
      if (values === undefined) return [];
      const { mean, p50, p90, p95, p99, max } = values;
      return [title.padEnd(22) + [mean, p50, p90, p95, p99, max].map((value) => value.toFixed(1).padStart(10)).join("")];
    }),
    `the client used ${(100 * clientCpu).toFixed(1)} % of a processor${report.retried > 0 ? `; ${report.retried} requests were sent again as their connection had been closed` : ""}`,
  ];
  for (const line of lines) await printLine(line);
}
