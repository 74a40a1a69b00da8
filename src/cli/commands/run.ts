/** frugal run: writes text, or chats where no prompt is given. */
import type { ChatMessage } from "../../serving/prompt.ts";
import type { GenerateOptions } from "../../serving/writer.ts";
import {
  adapterOptions,
  cacheOption,
  type Command,
  contextOption,
  type Given,
  model,
  type OptionSpec,
  speculationOptions,
} from "../command.ts";
import { withModel } from "../open-model.ts";
import { note, peakMemory, print, printJson, round } from "../output.ts";

const samplingOptions: readonly OptionSpec[] = [
  {
    name: "max-tokens",
    value: { label: "N", kind: "integer", least: 0 },
    help: "most tokens to write (default: until the context is full)",
  },
  { name: "temperature", value: { label: "X", kind: "number" }, help: "0 takes the likeliest token (default: 0; in a chat 0.7)" },
  { name: "top-k", value: { label: "K", kind: "integer", least: 0 }, help: "keep the K likeliest tokens; 0 keeps all (default: 0)" },
  { name: "top-p", value: { label: "P", kind: "number" }, help: "keep the likeliest tokens that sum to P (default: 1; in a chat 0.95)" },
  { name: "min-p", value: { label: "P", kind: "number" }, help: "keep tokens at least P times as likely as the likeliest (default: 0)" },
  { name: "repetition-penalty", value: { label: "X", kind: "number" }, help: "1 changes nothing (default: 1)" },
  {
    name: "presence-penalty",
    value: { label: "X", kind: "number" },
    help: "off the logit of every token that stands in the text (default: 0)",
  },
  { name: "frequency-penalty", value: { label: "X", kind: "number" }, help: "the same, as often as it stands there (default: 0)" },
  { name: "seed", value: { label: "N", kind: "integer", least: 0 }, help: "the same seed writes the same text (default: drawn anew)" },
  { name: "stop", value: { label: "TEXT", kind: "text" }, many: true, help: "ends the text where it appears; may be given more than once" },
];

export const run: Command = {
  name: "run",
  summary: "Writes text that goes on from PROMPT, or chats where no PROMPT is given.",
  arguments: [model, { label: "PROMPT", help: "text to go on with; - reads it from stdin", optional: true }],
  options: [
    ...samplingOptions,
    { name: "system", value: { label: "TEXT", kind: "text" }, help: "a system message; PROMPT is then answered as a message" },
    { name: "chat", help: "answer PROMPT as a message, by the model's template" },
    { name: "special", help: "let special tokens written in PROMPT count as such" },
    ...adapterOptions,
    ...speculationOptions,
    contextOption,
    cacheOption,
  ],
  async run(given) {
    const [, prompt] = given.arguments;
    if (prompt !== undefined) return runPrompt(given, prompt === "-" ? await readStdin() : prompt);
    const { chat } = await import("../chat.ts");
    return chat(given, generateOptions(given));
  },
};

async function runPrompt(given: Given, text: string): Promise<void> {
  const { frugalModel } = await import("../../serving/model.ts");
  const started = performance.now();
  await withModel(given, { sequences: 1, speculates: true }, async (parts, signal) => {
    const loadTime = performance.now() - started;
    const loaded = frugalModel(parts);
    note(loaded.backend.description);
    const system = given.text("system");
    const isChat = system !== undefined || given.flag("chat");
    const messages: readonly ChatMessage[] = [
      ...(system === undefined ? [] : [{ role: "system", content: system }]),
      { role: "user", content: text },
    ];
    const generation = loaded.generate(isChat ? messages : text, {
      ...generateOptions(given),
      parseSpecial: given.flag("special"),
      signal,
    });
    if (!given.flag("json")) {
      for await (const part of generation) if (part.text !== "") await print(part.text);
      await print("\n");
    }
    const { ids, promptIds, finishReason, timings, text: written } = await generation;
    const speeds = {
      prefill_tokens_per_second: round(timings.prefillTokensPerSecond),
      decode_tokens_per_second: round(timings.decodeTokensPerSecond),
      time_to_first_token_ms: round(timings.timeToFirstToken),
      load_ms: round(loadTime),
      peak_rss_bytes: peakMemory(),
    };
    if (given.flag("json")) return printJson({ text: written, ids, prompt_ids: promptIds, finish_reason: finishReason, ...speeds });
    note(
      `\n${promptIds.length} tokens read at ${speeds.prefill_tokens_per_second}/s, ${ids.length} written at ${speeds.decode_tokens_per_second}/s`,
    );
  });
}

/** Only what was given: the rest is for the caller to say. */
export function generateOptions(given: Given): GenerateOptions {
  const numbers = {
    maxTokens: given.number("max-tokens"),
    temperature: given.number("temperature"),
    topK: given.number("top-k"),
    topP: given.number("top-p"),
    minP: given.number("min-p"),
    repetitionPenalty: given.number("repetition-penalty"),
    presencePenalty: given.number("presence-penalty"),
    frequencyPenalty: given.number("frequency-penalty"),
    seed: given.number("seed"),
  };
  const named = Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined)) as GenerateOptions;
  return { ...named, ...(given.flag("stop") ? { stop: given.texts("stop") } : {}) };
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
