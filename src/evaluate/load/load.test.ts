/** The parts of the load generator, each against numbers known beforehand; and the whole against a server that keeps to a script. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ScriptedServer, serveScript } from "../../../testing/servers/scripted.ts";
import { arrivalTimes, lognormal } from "./arrivals.ts";
import { firstModel, type Outcome, serverAddress, type Target } from "./client.ts";
import { readEvents } from "./event-stream.ts";
import { planLoad } from "./plan.ts";
import { promptMaker } from "./prompts.ts";
import { reportLoad } from "./report.ts";
import { runLoad } from "./run.ts";
import { distribution, quantile } from "./statistics.ts";
import { readTrace } from "./traces.ts";

describe("arrivals", () => {
  const gaps = (burstiness: number, seed = 1): number[] => {
    const times = arrivalTimes({ count: 4000, rate: 10, burstiness, seed });
    return times.map((time, i) => time - (times[i - 1] ?? 0));
  };
  test("the last request comes at count / rate, whatever the seed and the burstiness", () => {
    for (const burstiness of [0.01, 0.25, 1, 8])
      for (const seed of [0, 1]) expect(arrivalTimes({ count: 20, rate: 4, burstiness, seed }).at(-1)).toBeCloseTo(5000, 6);
    expect(arrivalTimes({ count: 0, rate: 1, burstiness: 1, seed: 0 })).toEqual([]);
  });
  // Of a gamma distribution of shape k, the deviation is mean / sqrt(k).
  test.each([0.25, 1, 4])("gaps of burstiness %d spread as they should", (burstiness) => {
    const { mean, std } = distribution(gaps(burstiness))!;
    expect(mean).toBeCloseTo(100, 6);
    expect(std / mean / (1 / Math.sqrt(burstiness))).toBeCloseTo(1, 1);
  });
  test("a seed changes the gaps, and only the seed does", () => {
    expect(gaps(1)).toEqual(gaps(1));
    expect(gaps(1, 2)).not.toEqual(gaps(1));
  });
  test("lognormal lengths have the mean that is asked for", () => {
    const { mean, p50 } = distribution(Array.from({ length: 4000 }, (_, i) => lognormal(161, 1, 3, i)))!;
    expect(mean / 161).toBeCloseTo(1, 1);
    expect(p50 / (161 * Math.exp(-0.5))).toBeCloseTo(1, 1);
  });
});

describe("traces", () => {
  const csv = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109";
  test("Azure's", () => {
    const rows = readTrace(csv, "t.csv");
    expect(rows).toMatchObject([
      { at: 0, promptTokens: 374, outputTokens: 44 },
      { promptTokens: 396, outputTokens: 109 },
    ]);
    expect(rows[1]!.at).toBeCloseTo(4314.579, 3);
    expect(readTrace(csv, "t.csv", 1)).toHaveLength(1);
  });
  test("Mooncake's", () => {
    const line = '{"timestamp": 40, "input_length": 700, "output_length": 5, "hash_ids": [0, 14]}';
    expect(readTrace(`${line}\n${line.replace("40", "140")}\n`, "t.jsonl")).toEqual([
      { at: 0, promptTokens: 700, outputTokens: 5, hashIds: [0, 14] },
      { at: 100, promptTokens: 700, outputTokens: 5, hashIds: [0, 14] },
    ]);
  });
  test.each([
    ["a,b,c\n1,2,3", /line 1 is neither JSON/],
    ["TIMESTAMP,ContextTokens,GeneratedTokens\n", /no requests/],
    [`${csv}\nyesterday,1,2`, /line 4 is "yesterday,1,2"/],
    [csv.replace("374", "-1"), /line 2 has -1 where/],
    [csv.replace("374", ""), /line 2 has null where/],
    ['{"timestamp": 1,', /line 1 is no JSON object/],
    ["{}", /no timestamp/],
    ['{"timestamp":1,"input_length":1,"output_length":1e99}', /1e\+99/],
    ['{"timestamp":1,"input_length":1,"output_length":1,"hash_ids":["x"]}', /hash_ids/],
  ])("%j is refused by its line", (text, message) => {
    expect(() => readTrace(text, "t")).toThrow(message);
  });
});

describe("prompts", () => {
  const options = { count: 4, seed: 1, shared: 0 };
  test("words: so many, the same for the same seed", () => {
    const make = (seed: number, index: number, shared = 0): string =>
      promptMaker({ kind: "words" }, { ...options, seed, shared }).make(index, 9) as string;
    expect(make(1, 0).split(" ")).toHaveLength(9);
    expect(make(1, 0)).toBe(make(1, 0));
    expect(new Set([make(1, 0), make(1, 1), make(2, 0)]).size).toBe(3);
    expect(make(1, 0, 6).split(" ").slice(0, 6)).toEqual(make(1, 1, 6).split(" ").slice(0, 6));
    expect(make(1, 0, 6)).not.toBe(make(1, 1, 6));
  });
  test("ids stay in the vocabulary", () => {
    const ids = promptMaker({ kind: "ids", vocabulary: 5 }, options).make(0, 200) as readonly number[];
    expect([ids.length, Math.min(...ids), Math.max(...ids)]).toEqual([200, 0, 4]);
  });
  test("pieces of a text, however short it is", () => {
    const text = "abcdefghijklmnopqrstuvwxyz".repeat(4);
    const maker = promptMaker({ kind: "text", text }, options);
    expect([0, 1].map((i) => maker.make(i, 2))).toEqual([text.slice(0, 8), text.slice(24, 32)]);
    expect(promptMaker({ kind: "text", text: "ab" }, options).make(1, 2)).toBe("babababa");
  });
  test("blocks with the same hash are the same", () => {
    const make = (index: number, ids: number[]): string[] =>
      (promptMaker({ kind: "words" }, options).make(index, 10, ids, 4) as string).split(" ");
    const [a, b] = [make(0, [7, 8]), make(1, [7, 9])];
    expect([a.length, b.length]).toEqual([10, 10]);
    expect(a.slice(0, 4)).toEqual(b.slice(0, 4));
    expect(a.slice(4, 8)).not.toEqual(b.slice(4, 8));
    expect(make(0, [7, 8, 9])).toHaveLength(10);
  });
});

describe("plans", () => {
  const plan = { requests: 10, prompts: { kind: "words" }, promptTokens: 3, outputTokens: 4, seed: 5 } as const;
  test("no rate, no times", () =>
    expect(planLoad(plan).every(({ at, cancelAfter }) => at === undefined && cancelAfter === undefined)).toBe(true));
  test("rates and burstiness give times", () => {
    const times = (burstiness: number): unknown[] => planLoad({ ...plan, rate: 2, burstiness }).map(({ at }) => at);
    expect(times(1).at(-1)).toBeCloseTo(5000, 6);
    expect(times(1)).not.toEqual(times(0.5));
  });
  test("a trace is scaled in time and in length", () => {
    const trace = [
      { at: 0, promptTokens: 100, outputTokens: 10 },
      { at: 1000, promptTokens: 10, outputTokens: 1 },
    ];
    const rows = planLoad({ ...plan, trace, traceScale: 0.5, lengthScale: 0.1 });
    expect(rows.map(({ at, prompt, outputTokens }) => [at, (prompt as string).split(" ").length, outputTokens])).toEqual([
      [0, 10, 1],
      [500, 1, 1],
    ]);
  });
  test("some go away", () => {
    const leaving = planLoad({ ...plan, requests: 1000, cancelRate: 0.25, cancelDelay: 9 }).filter(({ cancelAfter }) => cancelAfter === 9);
    expect(leaving.length / 1000).toBeCloseTo(0.25, 1);
  });
});

test("quantiles are numpy's", () => {
  // numpy.percentile([1, 2, 3, 4], [50, 90, 95, 99])
  expect([0.5, 0.9, 0.95, 0.99].map((share) => quantile([1, 2, 3, 4], share))).toEqual([2.5, 3.7, 3.8499999999999996, 3.9699999999999998]);
  expect(distribution([1, 2, 3, 4])).toMatchObject({ mean: 2.5, p50: 2.5, std: Math.sqrt(1.25), max: 4 });
  expect(distribution([])).toBeUndefined();
});

describe("reports", () => {
  const outcome = (started: number, pieces: number[], more: Partial<Outcome> = {}): Outcome => ({
    kind: "completed",
    started,
    ended: pieces.at(-1) ?? started + 1,
    pieces,
    text: "",
    isRetried: false,
    ...more,
  });
  const outcomes = [
    outcome(0, [100, 150, 250], { outputTokens: 5, promptTokens: 11, cachedTokens: 4 }),
    outcome(50, [100], { outputTokens: 1, promptTokens: 2 }),
    outcome(60, [90], { kind: "cancelled" }),
    outcome(250, [], { kind: "failed", error: "429 too many", ended: 1000, isRetried: true }),
  ];
  test("every definition", () => {
    const report = reportLoad(outcomes, { ttft: 100, tpot: 37.5 });
    expect(report).toMatchObject({
      requests: 4,
      completed: 2,
      cancelled: 1,
      failed: 1,
      retried: 1,
      seconds: 1,
      errors: { "429 too many": 1 },
    });
    expect(report).toMatchObject({
      promptTokens: 13,
      cachedTokens: 4,
      outputTokens: 6,
      requestThroughput: 2,
      outputThroughput: 6,
      totalThroughput: 19,
    });
    expect(report).toMatchObject({ peakOutputThroughput: 4, peakConcurrency: 3, goodput: 2, countedBy: "server" });
    expect([report.ttft?.mean, report.ttft?.max, report.e2el?.mean]).toEqual([75, 100, 150]);
    // (250 - 100) / (5 - 1), of the one request with more than one token.
    expect([report.tpot?.p50, report.tpot?.std]).toEqual([37.5, 0]);
    expect([report.itl?.mean, report.itl?.max]).toEqual([75, 100]);
  });
  test("each limit counts by itself", () => {
    expect(reportLoad(outcomes, { ttft: 99 }).goodput).toBe(1);
    // One token has no time per token, which is good.
    expect(reportLoad(outcomes, { tpot: 1 }).goodput).toBe(1);
    expect(reportLoad(outcomes, { e2el: 10 }).goodput).toBe(0);
    expect(reportLoad(outcomes)).not.toHaveProperty("goodput");
  });
  test("nothing done is no division by nothing", () => {
    expect(reportLoad([])).toMatchObject({ requests: 0, seconds: 0, outputThroughput: 0, peakConcurrency: 0 });
  });
  test("without the server's count, events are tokens", () =>
    expect(reportLoad([outcome(0, [1, 2, 3])])).toMatchObject({ outputTokens: 3, countedBy: "events" }));
});

test("events come through however they are cut", async () => {
  const text = 'data: {"a":"ü"}\r\n\r\n: ping\n\ndata:1\ndata: 2\n\ndata: [DONE]';
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 2, 7, 1000]) {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let i = 0; i < bytes.length; i += size) controller.enqueue(bytes.slice(i, i + size));
        controller.close();
      },
    });
    const data: string[] = [];
    for await (const event of readEvents(body)) data.push(event.data);
    expect(data).toEqual(['{"a":"ü"}', "1\n2", "[DONE]"]);
  }
  const endless = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(1 << 20).fill(97)) });
  await expect(readEvents(endless).next()).rejects.toThrow(/is this an event stream/);
});

describe("against a server with a script", () => {
  let server: ScriptedServer;
  beforeEach(async () => {
    server = await serveScript({ first: 60, gap: 20 });
  });
  afterEach(() => server.close());
  const target = (more: Partial<Target> = {}): Target => ({ url: server.url, endpoint: "chat", model: "m", timeout: 5000, ...more });
  const request = { prompt: "a b", outputTokens: 5 };
  const never = new AbortController().signal;

  test.each(["chat", "completions"] as const)("times of %s are those of the script", async (endpoint) => {
    const outcomes = await runLoad(target({ endpoint }), [request, request], { signal: never });
    const { ttft, tpot, itl, e2el, ...rest } = reportLoad(outcomes);
    expect(rest).toMatchObject({
      completed: 2,
      promptTokens: 14,
      cachedTokens: 6,
      outputTokens: 10,
      peakConcurrency: 2,
      countedBy: "server",
    });
    const near = (value: number | undefined, wanted: number): void => {
      expect(value).toBeGreaterThan(wanted - 5);
      // Machines that run tests are busy; that the definitions are right is said by the reports above.
      expect(value).toBeLessThan(wanted + 1000);
    };
    near(ttft?.p50, 60);
    near(itl?.mean, 20);
    near(tpot?.p50, 20);
    near(e2el?.p50, 140);
    expect(outcomes[0]).toMatchObject({ text: " word word word word word", finishReason: "length" });
  });

  test("what is sent", async () => {
    await runLoad(target({ apiKey: "k", extraBody: { cache_prompt: false } }), [request], { signal: never });
    await runLoad(target({ endpoint: "completions" }), [{ prompt: [1, 2], outputTokens: 1 }], { signal: never });
    expect(server.seen).toMatchObject([
      {
        path: "/v1/chat/completions",
        key: "Bearer k",
        body: { model: "m", messages: [{ role: "user", content: "a b" }], max_tokens: 5, ignore_eos: true, cache_prompt: false },
      },
      { path: "/v1/completions", key: undefined, body: { prompt: [1, 2], stream: true, stream_options: { include_usage: true } } },
    ]);
    expect(await firstModel(`${server.url}/v1/`, undefined, never)).toBe("scripted");
  });

  test("tokens that come bundled are counted by the server", async () => {
    server.script = { first: 0, gap: 5, bundle: 2 };
    const [outcome] = await runLoad(target(), [request], { signal: never });
    expect([outcome!.pieces.length, reportLoad([outcome!]).outputTokens]).toEqual([3, 5]);
    server.script = { first: 0, gap: 5, usage: false };
    expect(reportLoad(await runLoad(target(), [request], { signal: never }))).toMatchObject({ outputTokens: 5, countedBy: "events" });
  });

  test("so many clients at a time", async () => {
    const outcomes = await runLoad(target(), [request, request, request, request], { concurrency: 2, signal: never });
    expect(reportLoad(outcomes).peakConcurrency).toBe(2);
    expect(outcomes[2]!.started).toBeGreaterThan(Math.min(outcomes[0]!.ended, outcomes[1]!.ended) - 1);
  });

  test("requests wait for their time", async () => {
    const [outcome] = await runLoad(target(), [{ ...request, at: 120, outputTokens: 1 }], { signal: never });
    const begun = performance.now();
    const [later] = await runLoad(target(), [{ ...request, at: 80, outputTokens: 1 }], { signal: never });
    expect(outcome!.kind).toBe("completed");
    expect(later!.started - begun).toBeGreaterThan(78);
  });

  test("clients that go away", async () => {
    const outcomes = await runLoad(target(), [{ ...request, outputTokens: 50, cancelAfter: 100 }, request], { signal: never });
    expect(outcomes.map(({ kind }) => kind)).toEqual(["cancelled", "completed"]);
    await expect.poll(() => server.left).toBe(1);
  });

  test("an abort leaves what there is", async () => {
    const stopping = new AbortController();
    const requests = Array.from({ length: 9 }, () => request);
    const outcomes = await runLoad(target(), requests, {
      concurrency: 1,
      signal: stopping.signal,
      onOutcome: (_, done) => done === 2 && stopping.abort(),
    });
    expect(outcomes.map(({ kind }) => kind)).toEqual(["completed", "completed"]);
    await runLoad(target(), [{ ...request, at: 1e6 }], { signal: stopping.signal });
  });

  test.each([
    ["status", "429 too many"],
    ["cut", /./],
    ["error event", "out of luck"],
    ["no JSON", /an event is no JSON/],
  ] as const)("%s is a failure that says why", async (fault, message) => {
    server.script = { first: 0, gap: 5, fault };
    const [outcome] = await runLoad(target(), [request], { signal: never });
    expect(outcome).toMatchObject({ kind: "failed", error: expect.stringMatching(message) as string });
  });

  test("silence ends at the limit", async () => {
    server.script = { first: 0, gap: 0, fault: "silence" };
    const [outcome] = await runLoad(target({ timeout: 100 }), [request], { signal: never });
    expect(outcome).toMatchObject({ kind: "failed", error: "no end within 100 ms" });
  });

  test("nobody there", async () => {
    await server.close();
    expect(await runLoad(target(), [request], { signal: never })).toMatchObject([{ kind: "failed", error: "ECONNREFUSED" }]);
    await expect(firstModel(server.url, undefined, never)).rejects.toThrow(/cannot be reached \(ECONNREFUSED\); start the server/);
  });
});

test.each(["localhost:8080", "ftp://x", ""])("%j is no address", (url) => expect(() => serverAddress(url)).toThrow(/is no address/));
