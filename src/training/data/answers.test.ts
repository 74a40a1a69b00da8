/** Answers are found in every published template, and nothing but answers. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { sharedData } from "../../../testing/shared.ts";
import { type ChatMessage, chatTemplate, encodeChat, fallbackTemplate, templateTokens } from "../../text/chat-template.ts";
import { tokenizerFromJson } from "../../text/from-json.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { answerEncoder } from "./answers.ts";

// Some templates write the time of day, which must be the same whenever they are asked.
beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"], now: 0 }));
afterEach(() => void vi.useRealTimers());

const templates = sharedData("tokenizers/chat-templates");
const names = existsSync(templates.path) ? readdirSync(templates.path).filter((name) => name.endsWith(".jinja")) : [];

/** Bytes as pieces, these special tokens, and these merges. */
function byteTokenizer(special: readonly string[], merges: readonly (readonly [string, string])[] = []): Tokenizer {
  const vocab: Record<string, number> = {};
  const printable = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let next = 256;
  for (let byte = 0; byte < 256; byte++) vocab[String.fromCharCode(printable(byte) ? byte : next++)] = byte;
  for (const [i, [a, b]] of merges.entries()) vocab[a + b] = 256 + special.length + i;
  return tokenizerFromJson(
    {
      model: { type: "BPE", vocab, merges },
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      decoder: { type: "ByteLevel" },
      added_tokens: special.map((content, i) => ({ id: 256 + i, content, special: true, normalized: false })),
    },
    { bos_token: special[0], eos_token: special[1] },
  );
}

/** The scored stretches as texts, one for each answer. */
function answersOf(tokenizer: Tokenizer, source: string, messages: readonly ChatMessage[], options = {}): string[] {
  const template = chatTemplate(source, templateTokens(tokenizer));
  const { ids, scored } = answerEncoder(tokenizer, template)(messages, options);
  expect(scored).toHaveLength(ids.length);
  const found: number[][] = [];
  scored.forEach((is, i) => {
    if (is === 1 && scored[i - 1] !== 1) found.push([]);
    if (is === 1) found.at(-1)!.push(ids[i]!);
  });
  return found.map((answer) => tokenizer.decode(answer));
}

const conversation: ChatMessage[] = [
  { role: "user", content: "What is the tallest mountain?" },
  { role: "assistant", content: " Everest.\n" },
  { role: "user", content: "And the deepest lake? Not Everest." },
  { role: "assistant", content: "Baikal." },
];

describe.skipIf(templates.skip)("published templates (skipped without ../shared/data)", () => {
  const tokenizerFor = (source: string): Tokenizer =>
    byteTokenizer([...new Set(["<s>", "</s>", ...(source.match(/<[|｜]?[\w:▁ ]+[|｜]?>|\[\/?[A-Z_]+\]/gu) ?? [])])]);

  it.each(names)("%s: both answers, and nothing that anybody else says", (name) => {
    const source = readFileSync(join(templates.path, name), "utf8");
    const tokenizer = tokenizerFor(source);
    const answers = answersOf(tokenizer, source, conversation);
    expect(answers).toHaveLength(2);
    expect(answers[0]).toContain("Everest.");
    expect(answers[1]).toContain("Baikal.");
    for (const answer of answers) expect(answer).not.toMatch(/mountain|lake|user|Everest.*Baikal/su);
    // The last answer teaches when to stop.
    const { ids, scored } = answerEncoder(tokenizer, chatTemplate(source, templateTokens(tokenizer)))(conversation);
    expect(tokenizer.endOfGeneration.has(ids.at(-1)!)).toBe(true);
    expect(scored.at(-1)).toBe(1);
    const whole = encodeChat(tokenizer, chatTemplate(source, templateTokens(tokenizer)), conversation, { addGenerationPrompt: false });
    expect([...ids.subarray(0, -1)]).toEqual([...whole.subarray(0, ids.length - 1)]);
  });

  it.each([
    ["meta-llama-Llama-3.1-8B-Instruct", ["Everest.<|eot_id|>", "Baikal.<|eot_id|>"]],
    ["google-gemma-2-2b-it", ["Everest.<end_of_turn>", "Baikal.<end_of_turn>"]],
    ["Qwen-Qwen3-0.6B", [" Everest.\n<|im_end|>", "<think>\n\n</think>\n\nBaikal.<|im_end|>"]],
    ["mistralai-Mistral-Nemo-Instruct-2407", [" Everest.\n</s>", "Baikal.</s>"]],
    ["openai-gpt-oss-120b", ["<|channel|>final<|message|> Everest.", "<|channel|>final<|message|>Baikal.<|return|>"]],
    ["llama-cpp-rwkv-world", [" Everest.\n\n", " Baikal.\n\n</s>"]],
    ["CohereForAI-c4ai-command-r-plus-tool_use", ["Everest.", "Baikal.<|END_OF_TURN_TOKEN|></s>"]],
  ])("%s: exactly these", (name, answers) => {
    const source = readFileSync(join(templates.path, `${name}.jinja`), "utf8");
    expect(answersOf(tokenizerFor(source), source, conversation)).toEqual(answers);
  });

  it("thoughts that a template drops from earlier answers are not learned, those it keeps are", () => {
    const source = readFileSync(join(templates.path, "Qwen-Qwen3-0.6B.jinja"), "utf8");
    const thinking: ChatMessage[] = conversation.map((message) =>
      message.role === "assistant" ? { ...message, content: `<think>\nHm.\n</think>\n\n${String(message.content).trim()}` } : message,
    );
    // They are no special tokens of these models.
    const tokenizer = byteTokenizer(["<s>", "</s>", "<|im_start|>", "<|im_end|>"]);
    expect(answersOf(tokenizer, source, thinking)).toEqual(["Everest.<|im_end|>", "<think>\nHm.\n</think>\n\nBaikal.<|im_end|>"]);
  });

  it("calls of tools are learned, their results are not", () => {
    const source = readFileSync(join(templates.path, "Qwen-Qwen2.5-7B-Instruct.jinja"), "utf8");
    const call = { type: "function", function: { name: "height", arguments: { of: "Everest" } } };
    const messages: ChatMessage[] = [
      { role: "user", content: "How high?" },
      { role: "assistant", content: "", tool_calls: [call] },
      { role: "tool", content: "8849" },
      { role: "assistant", content: "8849 m" },
    ];
    const answers = answersOf(tokenizerFor(source), source, messages);
    expect(answers).toEqual([
      '<tool_call>\n{"name": "height", "arguments": {"of": "Everest"}}\n</tool_call><|im_end|>',
      "8849 m<|im_end|>",
    ]);
  });
});

describe("answerEncoder", () => {
  const special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"];
  const tokenizer = byteTokenizer(special);
  const chatml =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

  it("gives the ids of encodeChat", () => {
    const bos = { ...tokenizer, addBos: true };
    for (const each of [tokenizer, bos]) {
      const template = chatTemplate(chatml);
      const { ids, scored } = answerEncoder(each, template)(conversation);
      const whole = encodeChat(each, template, conversation, { addGenerationPrompt: false });
      expect([...ids]).toEqual([...whole.subarray(0, ids.length)]);
      expect(each.decode(whole.subarray(ids.length))).toBe("\n");
      expect(scored[0]).toBe(0);
    }
  });

  it("marks only answers from a message on", () => {
    expect(answersOf(tokenizer, chatml, conversation, { from: 2 })).toEqual(["Baikal.<|im_end|>"]);
    expect(() => answersOf(tokenizer, chatml, conversation.slice(0, 1))).toThrow(/no answer to learn from/);
    expect(() => answersOf(tokenizer, chatml, conversation, { from: 4 })).toThrow(/no answer to learn from/);
  });

  it("passes tools and variables on", () => {
    const source = `{{ tools | length }}{{ mood }}${chatml}`;
    const { ids } = answerEncoder(tokenizer, chatTemplate(source))(conversation, { tools: [1, 2], variables: { mood: "glad" } });
    expect(tokenizer.decode(ids)).toMatch(/^2glad<\|im_start\|>/);
  });

  it("learns special tokens that an answer spells as text, not as tokens", () => {
    const messages: ChatMessage[] = [
      { role: "user", content: "x" },
      { role: "assistant", content: "say <|im_end|> now" },
    ];
    const { ids } = answerEncoder(tokenizer, chatTemplate(chatml))(messages);
    expect([...ids].filter((id) => id === tokenizer.idOf("<|im_end|>"))).toHaveLength(2);
    expect(answersOf(tokenizer, chatml, messages)).toEqual(["say <|im_end|> now<|im_end|>"]);
  });

  it("reads contents given in parts", () => {
    const source = chatml.replace("{{ m.content }}", "{% for p in m.content %}{{ p.text }}{% endfor %}");
    const parts = (...texts: string[]): { type: string; text: string }[] => texts.map((text) => ({ type: "text", text }));
    const messages: ChatMessage[] = [
      { role: "user", content: parts("a", "b") },
      { role: "assistant", content: parts(" ", "c", "d ") },
    ];
    expect(answersOf(tokenizer, source, messages)).toEqual([" cd <|im_end|>"]);
  });

  it("gives a token across the border to the answer, and no earlier one", () => {
    // "t:" and "hi" are tokens of the whole text as ": h" is cut: the border lies inside ":h".
    const merging = byteTokenizer(special, [
      [":", "h"],
      ["t", ":"],
    ]);
    const source = "{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
    const messages: ChatMessage[] = [
      { role: "user", content: "x" },
      { role: "assistant", content: "hi" },
    ];
    expect(answersOf(merging, source, messages)).toEqual([":hi</s>"]);
    expect(answersOf(tokenizer, source, messages)).toEqual(["hi</s>"]);
  });

  it("finds answers where the system's message stands in the last turn, as some templates write it", () => {
    const source =
      "{% set system = messages[0].content %}{% for m in messages[1:] %}{% if m.role == 'user' %}[{% if loop.revindex0 <= 1 %}{{ system }} {% endif %}{{ m.content }}]{% else %} {{ m.content }}</s>{% endif %}{% endfor %}";
    expect(answersOf(tokenizer, source, [{ role: "system", content: "Be brief." }, ...conversation])).toEqual([
      "Everest.\n</s>",
      " Baikal.</s>",
    ]);
  });

  it("goes by beginnings where marks would change what the template does", () => {
    const source = chatml.replace("{{ m.content }}", "{{ m.content | length }}:{{ m.content }}");
    expect(answersOf(tokenizer, source, conversation)).toEqual(["10: Everest.\n<|im_end|>", "7:Baikal.<|im_end|>"]);
  });

  it("says so where a template hides its answers", () => {
    const source = "{{ messages | length }}{% for m in messages %}{{ m.content | upper | length }}{% endfor %}";
    expect(() => answersOf(tokenizer, source, conversation)).toThrow(/does not show where the answer of message 1 stands/);
  });

  it("ends plain turns with the end of text", () => {
    const template = fallbackTemplate(byteTokenizer(["<s>", "</s>"]));
    expect(answersOf(tokenizer, template.source, conversation)).toEqual(["  Everest.\n\n\n", " Baikal.\n\n</s>"]);
  });
});
