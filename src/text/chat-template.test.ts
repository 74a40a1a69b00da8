// Published templates parse and render; messages cannot forge special tokens; a hostile template ends.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sharedData } from "../../testing/shared.ts";
import { chatTemplate, encodeChat, fallbackTemplate, templateTokens, type ChatMessage } from "./chat-template.ts";
import { tokenizerFromJson } from "./from-json.ts";
import { formatTime } from "./jinja-run.ts";
import type { Tokenizer } from "./tokenizer.ts";

const templates = sharedData("tokenizers/chat-templates");
const names = existsSync(templates.path) ? readdirSync(templates.path).filter((name) => name.endsWith(".jinja")) : [];
const source = (name: string): string => readFileSync(join(templates.path, name), "utf8");

/** Bytes as pieces, and these special tokens. */
function byteTokenizer(special: readonly string[]): Tokenizer {
  const vocab: Record<string, number> = {};
  const printable = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let next = 256;
  for (let byte = 0; byte < 256; byte++) vocab[String.fromCharCode(printable(byte) ? byte : next++)] = byte;
  return tokenizerFromJson(
    {
      model: { type: "BPE", vocab, merges: [] },
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      decoder: { type: "ByteLevel" },
      added_tokens: special.map((content, i) => ({ id: 256 + i, content, special: true, normalized: false })),
    },
    { bos_token: special[0], eos_token: special[1] },
  );
}

describe.skipIf(templates.skip)("published templates (skipped without ../shared/data)", () => {
  const conversation: ChatMessage[] = [
    { role: "user", content: "What is the tallest mountain?" },
    { role: "assistant", content: "Everest." },
    { role: "user", content: "And the deepest lake?" },
  ];

  it("are all there", () => expect(names.length).toBeGreaterThanOrEqual(57));

  it.each(names)("%s renders a conversation", (name) => {
    const template = chatTemplate(source(name), { bos: "<s>", eos: "</s>" });
    const text = template.render(conversation);
    for (const { content } of conversation) expect(text).toContain(content);
    const without = template.render(conversation, { addGenerationPrompt: false });
    expect(without).toContain("And the deepest lake?");
  });

  it.each(names)("%s: no message forges a special token", (name) => {
    // All that looks like a token in the template is one.
    const special = ["<s>", "</s>", ...new Set(source(name).match(/<[|｜]?[\w:▁ ]+[|｜]?>|\[\/?[A-Z_]+\]/gu) ?? [])];
    const tokenizer = byteTokenizer([...new Set(special)]);
    const template = chatTemplate(source(name), templateTokens(tokenizer));
    const specials = (messages: ChatMessage[]): number[] => [...encodeChat(tokenizer, template, messages)].filter((id) => id >= 256);
    const honest = specials([{ role: "user", content: "hello" }]);
    for (const token of special)
      for (const content of [
        token,
        ` ${token}\n`,
        `a${token}b`,
        token.slice(1),
        token.slice(0, -1),
        token + token,
        `${token.slice(0, 2)}${token}${token.slice(2)}`,
      ])
        expect(specials([{ role: "user", content }]), JSON.stringify(content)).toEqual(honest);
  });
});

describe("encodeChat", () => {
  const special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "[INST]", "<|a|>", "<|ab|>", "|>"];
  const tokenizer = byteTokenizer(special);
  // Puts untrusted strings right beside each other, beside its own marks, and through filters.
  const template = chatTemplate(
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{% for p in m.content %}{{ p.text | trim }}{% endfor %}{{ m.name }}<|{{ m.name }}|>{{ m | tojson }}<|im_end|>{% endfor %}{{ tools }}",
    templateTokens(tokenizer),
  );
  const encode = (parts: readonly string[], name: string): Int32Array =>
    encodeChat(tokenizer, template, [{ role: "user", content: parts.map((text) => ({ type: "text", text })), name }]);
  const pieces = fc.array(
    fc.constantFrom(
      ...special,
      "<",
      "<|",
      "|",
      ">",
      "im_",
      "start",
      "_end",
      "|>",
      "a",
      "b",
      "ab",
      "s",
      "/s",
      "INST",
      "]",
      "[",
      " ",
      "\n",
      "\ue000",
      "\\ue000",
      "é",
    ),
    { maxLength: 6 },
  );

  it("yields the template's own special ids and no others", () => {
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 4 }), pieces, (parts, name) => {
        const ids = encode(
          parts.map((part) => part.join("")),
          name.join(""),
        );
        // The template writes "|>" itself after the name.
        expect([...ids].filter((id) => id >= 256)).toEqual([256, 258, 263, 259]);
      }),
      { numRuns: 2000 },
    );
  });

  it("changes no character of what is said", () => {
    const plain = chatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}");
    fc.assert(
      fc.property(pieces, (parts) => {
        const content = parts.join("");
        expect(tokenizer.decode(encodeChat(tokenizer, plain, [{ role: "user", content }]))).toBe(content);
      }),
    );
  });

  it("adds BOS once where the tokenizer adds one", () => {
    const bos = { ...tokenizer, addBos: true };
    const say = (text: string): Int32Array => encodeChat(bos, chatTemplate(text, templateTokens(bos)), [{ role: "user", content: "x" }]);
    expect([...say("{{ bos_token }}{{ messages[0].content }}")]).toEqual([256, 120]);
    expect([...say("{{ messages[0].content }}")]).toEqual([256, 120]);
  });

  it("passes every option on", () => {
    const render = chatTemplate(
      "{{ add_generation_prompt }}|{{ tools | length }}|{{ documents | length }}|{{ thinking }}|{{ messages | length }}",
    ).render;
    expect(
      render([{ role: "user", content: "" }], {
        addGenerationPrompt: false,
        tools: [1],
        documents: [1, 2],
        variables: { thinking: "yes" },
      }),
    ).toBe("false|1|2|yes|1");
    expect(() => render([{ role: "user" }])).toThrow(/message 0 has no content/u);
    expect(render([{ role: "assistant", content: null, tool_calls: [] }])).toContain("|1");
    expect(() => render([{ role: "usr", content: "" }])).toThrow(/did you mean "user"/u);
    expect(render([{ role: "poet", content: "" }], { roles: ["poet"], tools: [], documents: [] })).toContain("|1");
  });

  it("has a fallback for models without a template", () => {
    const say = (t: Tokenizer): string => fallbackTemplate(t).render([{ role: "user", content: "hi" }]);
    expect(say(tokenizer)).toBe("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
    expect(say(byteTokenizer(["<s>", "</s>"]))).toBe("user: hi\n\nassistant:");
  });
});

describe("a hostile template", () => {
  const small = { steps: 10_000, characters: 10_000 };
  it.each([
    ["{% for a in range(1000000000) %}x{% endfor %}"],
    ["{% for a in range(9000) %}{% for b in range(9000) %}{% endfor %}{% endfor %}"],
    ["{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}"],
    ["{% for a in range(5000) %}xxxxxxxxxxxxx{% endfor %}"],
    ["{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"],
  ])("%s ends with a typed error", (text) => {
    expect(() => chatTemplate(text, {}, small).render([{ role: "user", content: "x" }])).toThrow(
      expect.objectContaining({ name: "FrugalError" }),
    );
  });

  it.each([
    ["{% for %}"],
    ["{{ a"],
    ["{% if x %}"],
    [`${"(".repeat(50_000)}`],
    ["{{ ".repeat(20_000)],
    [`{{ ${"(".repeat(50_000)}1 }}`],
    ["x".repeat((1 << 20) + 1)],
  ])("bad syntax is a typed error", (text) => {
    try {
      chatTemplate(text).render([{ role: "user", content: "x" }]);
    } catch (error) {
      expect(error).toMatchObject({ name: "FrugalError" });
    }
  });

  it("says what the template says when it refuses", () => {
    expect(() => chatTemplate("{{ raise_exception('roles must alternate') }}").render([])).toThrow(/roles must alternate/u);
  });
});

it("tells the time as Python does", () => {
  const date = new Date(2024, 6, 4, 15, 5, 9);
  expect(formatTime(date, "%Y-%m-%d %H:%M:%S %d %B %b %A %a %I%p %-d %y %% %Q")).toBe(
    "2024-07-04 15:05:09 04 July Jul Thursday Thu 03PM 4 24 % %Q",
  );
});
