/** POST /v1/completions over a real connection. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventsOf, type ServedModel, serveStories } from "../../testing/serving.ts";

let served: ServedModel;
beforeAll(async () => {
  served = await serveStories();
});
afterAll(() => served[Symbol.asyncDispose]());

const path = "/v1/completions";
const prompt = "Once upon a time";

interface Choice {
  readonly index: number;
  readonly text: string;
  readonly logprobs: {
    readonly tokens: string[];
    readonly token_logprobs: (number | null)[];
    readonly top_logprobs: (Record<string, number> | null)[];
    readonly text_offset: number[];
  } | null;
  readonly finish_reason: string;
}

interface Completion {
  readonly choices: readonly Choice[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

async function complete(body: object): Promise<Completion> {
  const response = await served.post(path, { prompt, temperature: 0, max_tokens: 6, ...body });
  expect([response.status, response.ok ? "" : await response.text()]).toEqual([200, ""]);
  return (await response.json()) as Completion;
}
const textOf = async (body: object): Promise<string> => (await complete(body)).choices[0]!.text;

describe("prompts", () => {
  test("are text, or ids, or lists of these", async () => {
    const alone = await served.model.generate(prompt, { maxTokens: 6 });
    expect(await textOf({})).toBe(alone.text);
    expect(await textOf({ prompt: alone.promptIds })).toBe(alone.text);
    const many = await complete({ prompt: [prompt, "The dog"], n: 2 });
    const dog = await textOf({ prompt: "The dog" });
    expect(many.choices.map(({ index, text }) => [index, text])).toEqual([
      [0, alone.text],
      [1, alone.text],
      [2, dog],
      [3, dog],
    ]);
    expect((await complete({ prompt: [alone.promptIds, alone.promptIds] })).choices.map(({ text }) => text)).toEqual([
      alone.text,
      alone.text,
    ]);
  });

  test("default to 16 tokens", async () => {
    const response = await served.post(path, { prompt, ignore_eos: true });
    expect(((await response.json()) as Completion).usage.completion_tokens).toBe(16);
  });

  test("with \\0 and lone surrogates are text like any other", async () => {
    await textOf({ prompt: "a\0b" });
    const response = await served.post(path, `{"prompt":"a\\ud800b","temperature":0,"max_tokens":4}`);
    expect(response.status).toBe(200);
    expect(((await response.json()) as Completion).choices[0]!.text).toBe(await textOf({ prompt: "a\ufffdb", max_tokens: 4 }));
  });

  test("may be as long as the context less one token, or as long as it, and no longer", async () => {
    const ids = Array.from({ length: 513 }, () => 300);
    expect((await complete({ prompt: ids.slice(0, 511), ignore_eos: true })).usage.completion_tokens).toBe(2);
    expect((await complete({ prompt: ids.slice(0, 512), ignore_eos: true })).usage.completion_tokens).toBe(1);
    expect((await served.post(path, { prompt: ids })).status).toBe(400);
  });

  test("with an id that is no token are refused", async () => {
    const response = await served.post(path, { prompt: [1, 9_999_999] });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("not a token");
  });
});

describe("echo", () => {
  test("puts the prompt before the text", async () => {
    expect(await textOf({ echo: true })).toBe(prompt + (await textOf({})));
  });

  test("of 0 tokens is the prompt alone, with its log probabilities", async () => {
    const { choices } = await complete({ echo: true, max_tokens: 0, logprobs: 2 });
    const [{ text, logprobs, finish_reason: reason }] = choices as [Choice];
    expect([text, reason]).toEqual([prompt, "length"]);
    const ids = (await served.model.generate(prompt, { maxTokens: 0 })).promptIds;
    expect(logprobs!.tokens).toHaveLength(ids.length);
    const [row] = await served.model.logits(ids.slice(0, 3));
    const total = Math.log(row!.reduce((sum, x) => sum + Math.exp(x), 0));
    expect(logprobs!.token_logprobs[3]).toBeCloseTo(row![ids[3]!]! - total, 4);
    expect(logprobs!.token_logprobs[0]).toBeNull();
    expect(Object.keys(logprobs!.top_logprobs[3]!).length).toBeGreaterThanOrEqual(2);
  });
});

describe("log probabilities", () => {
  test("are lists side by side, offsets those of the text", async () => {
    const [{ text, logprobs }] = (await complete({ logprobs: 1 })).choices as [Choice];
    expect(logprobs!.tokens.join("")).toBe(text);
    expect(logprobs!.text_offset).toEqual(logprobs!.tokens.map((_, i) => logprobs!.tokens.slice(0, i).join("").length));
    expect(logprobs!.token_logprobs.every((value) => value !== null && value <= 0)).toBe(true);
  });

  test("choose the best of several", async () => {
    const body = { temperature: 1.5, seed: 3, logprobs: 0 };
    const mean = ({ logprobs }: Choice): number =>
      logprobs!.token_logprobs.reduce<number>((sum, value) => sum + value!, 0) / logprobs!.tokens.length;
    const all = await complete({ ...body, n: 4 });
    const best = await complete({ ...body, best_of: 4 });
    expect(best.choices).toHaveLength(1);
    expect(mean(best.choices[0]!)).toBeCloseTo(Math.max(...all.choices.map(mean)), 6);
    expect(best.usage).toEqual(all.usage);
  });
});

describe("options that change the text", () => {
  const sampled = { temperature: 1, seed: 1, max_tokens: 12 };
  test.each([
    ["seed", { seed: 2 }],
    ["negative seed", { seed: -2 }],
    ["top_k", { top_k: 1 }],
    ["top_p", { top_p: 0 }],
    ["min_p", { min_p: 1 }],
    ["repetition_penalty", { repetition_penalty: 100 }],
    ["presence_penalty", { presence_penalty: 2, repetition_penalty: 5 }],
    ["frequency_penalty", { frequency_penalty: 2, repetition_penalty: 5 }],
    ["temperature", { temperature: 0 }],
  ])("%s", async (_, change) => {
    expect(await textOf({ ...sampled, ...change })).not.toBe(await textOf(sampled));
  });

  test("logit_bias, stop, stop_token_ids, max_tokens", async () => {
    const { ids, text } = await served.model.generate(prompt, { maxTokens: 6 });
    expect(await textOf({ logit_bias: { [String(ids[0])]: -100 } })).not.toBe(text);
    const stop = text.slice(3, 6);
    expect(await textOf({ stop })).toBe(text.slice(0, text.indexOf(stop)));
    expect((await complete({ stop_token_ids: [ids[2]] })).usage.completion_tokens).toBe(ids.indexOf(ids[2]!) + 1);
    expect((await complete({ max_tokens: 3 })).usage.completion_tokens).toBe(3);
    expect((await complete({ stop })).choices[0]!.finish_reason).toBe("stop");
  });
});

describe("the end of a text", () => {
  /** The model would end at once. */
  const ending = async (): Promise<object> => ({ logit_bias: { [String((await served.model.tokenizer()).eos)]: 100 } });

  test("comes no sooner than min_tokens, and is passed over with ignore_eos", async () => {
    const bias = await ending();
    const count = async (body: object): Promise<number> => (await complete({ ...bias, ...body })).usage.completion_tokens;
    expect([await count({}), await count({ min_tokens: 4 }), await count({ ignore_eos: true })]).toEqual([1, 5, 6]);
  });

  test("is seen with skip_special_tokens false", async () => {
    const body = { ...(await ending()), ignore_eos: true, max_tokens: 2 };
    expect(await textOf(body)).toBe("");
    expect(await textOf({ ...body, skip_special_tokens: false })).not.toBe("");
  });
});

test("prompts share what was computed of them, but not across salts", async () => {
  const cached = async (salt?: string): Promise<number> => {
    const text = "A long beginning that several texts have. ".repeat(5);
    const { usage } = await complete({ prompt: text, ...(salt === undefined ? {} : { cache_salt: salt }) });
    return (usage as unknown as { prompt_tokens_details: { cached_tokens: number } }).prompt_tokens_details.cached_tokens;
  };
  // What all texts begin with may be there already.
  for (const salt of [undefined, "mine"]) expect(await cached(salt)).toBeLessThan(3);
  expect(await cached()).toBeGreaterThan(20);
  expect(await cached("mine")).toBeGreaterThan(20);
});

test("of texts that wait, lower priorities go first", async () => {
  await using small = await serveStories({}, { sequences: 1 });
  const order: string[] = [];
  const ask = (name: string, body: object): Promise<number> =>
    small
      .post(path, { prompt, temperature: 0, max_tokens: 40, ignore_eos: true, ...body })
      .then((answer) => (answer.body?.cancel(), order.push(name)));
  // Enough before them that both have arrived when the first of them could begin, on a busy machine too.
  const asked = Array.from({ length: 8 }, () => ask("before", { max_tokens: 150 }));
  asked.push(ask("later", { priority: 5 }));
  await new Promise((resolve) => setTimeout(resolve, 100));
  asked.push(ask("sooner", { priority: 1 }));
  await Promise.all(asked);
  expect(order.indexOf("sooner")).toBeLessThan(order.indexOf("later"));
});

test("a stream carries echo, text, log probabilities and usage", async () => {
  const body = { prompt, temperature: 0, max_tokens: 6, echo: true, logprobs: 1 };
  const whole = (await complete(body)).choices[0]!;
  const events = await eventsOf(await served.post(path, { ...body, stream: true, stream_options: { include_usage: true } }));
  expect(events.at(-1)).toBe("[DONE]");
  const chunks = events.slice(0, -1).map((event) => JSON.parse(event) as Completion);
  const choices = chunks.flatMap((chunk) => chunk.choices);
  expect(choices.map(({ text }) => text).join("")).toBe(whole.text);
  expect(choices.flatMap(({ logprobs }) => logprobs?.tokens ?? [])).toEqual(whole.logprobs!.tokens);
  expect(choices.flatMap(({ logprobs }) => logprobs?.text_offset ?? [])).toEqual(whole.logprobs!.text_offset);
  expect(chunks.at(-1)!.usage.completion_tokens).toBe(6);
});

test.each([
  ["best_of below n", { best_of: 1, n: 2 }, /less than n/],
  ["best_of of a stream", { best_of: 2, stream: true }, /stream/],
  ["too many texts", { prompt: ["a", "b"], n: 100 }, /more than 128/],
  ["suffix", { suffix: "x" }, /suffix: is not supported/],
  ["21 logprobs", { logprobs: 21 }, /logprobs/],
  ["no prompt", { prompt: [] }, /prompt/],
  ["a prompt of mixed kinds", { prompt: ["a", 1] }, /prompt/],
])("refused: %s", async (_, body, message) => {
  const response = await served.post(path, { prompt, max_tokens: 2, ...body });
  expect(response.status).toBe(400);
  expect(await response.text()).toMatch(message);
});
