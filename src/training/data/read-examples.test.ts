/** Rows of every kind, and everything that is wrong with them. */
import { describe, expect, it } from "vitest";
import { bytesSource } from "../../tensor/source.ts";
import { chatTemplate } from "../../text/chat-template.ts";
import { tokenizerFromJson } from "../../text/from-json.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { type ReadOptions, readExamples, readPreferences } from "./read-examples.ts";

/** Letters as pieces, "ab" as one, and ends. */
function letters(addBos: boolean): Tokenizer {
  const vocab = Object.fromEntries([..."abcdefghijklmnopqrstuvwxyz:Ġ", "ab"].map((piece, id) => [piece, id + 4]));
  const special = ["<s>", "</s>", "<|u|>", "<|a|>"].map((content, id) => ({ id, content, special: true, normalized: false }));
  const tokenizer = tokenizerFromJson(
    {
      model: { type: "BPE", vocab: { "<s>": 0, "</s>": 1, "<|u|>": 2, "<|a|>": 3, ...vocab }, merges: [["a", "b"]] },
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      decoder: { type: "ByteLevel" },
      added_tokens: special,
    },
    { bos_token: "<s>", eos_token: "</s>" },
  );
  return { ...tokenizer, addBos };
}

const tokenizer = letters(false);
const template = chatTemplate(
  "{% for m in messages %}{{ '<|u|>' if m.role == 'user' else '<|a|>' }}{{ m.content }}{{ '</s>' if m.role != 'user' }}{% endfor %}{% if add_generation_prompt %}<|a|>{% endif %}",
);
const usual: ReadOptions = { tokenizer, template, vocabularySize: 40, context: 16 };
const source = (name: string, ...rows: readonly unknown[]): ReturnType<typeof bytesSource> =>
  bytesSource(name, new TextEncoder().encode(rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n")));

/** What is read, and in capital letters what is predicted; ids without a letter as they are. */
async function shown(rows: readonly unknown[], options: Partial<ReadOptions> = {}): Promise<string[]> {
  const { examples } = await readExamples([source("a.jsonl", ...rows)], { ...usual, ...options });
  return examples.map(({ ids, scored }) => marked(ids, scored));
}
const marked = (ids: Int32Array, scored: Uint8Array): string =>
  [...ids].map((id, i) => (scored[i] === 1 ? tokenizer.pieceText(id).toUpperCase() : tokenizer.pieceText(id))).join(" ");

const user = { role: "user", content: "q" };
const assistant = { role: "assistant", content: "ok" };

describe("readExamples", () => {
  it("reads every kind of row", async () => {
    expect(await shown([{ messages: [user, assistant, user, assistant] }])).toEqual(["<|u|> q <|a|> O K </S> <|u|> q <|a|> O K </S>"]);
    expect(await shown([{ prompt: "xy", completion: "z" }])).toEqual(["x y Z </S>"]);
    expect(await shown([{ text: "xyz" }])).toEqual(["X Y Z </S>"]);
    expect(await shown([{ ids: [5, 7, 9] }])).toEqual(["B D F"]);
  });

  it("puts BOS first where the tokenizer does", async () => {
    const bos = { tokenizer: letters(true) };
    expect(await shown([{ prompt: "xy", completion: "z" }], bos)).toEqual(["<s> x y Z </S>"]);
    expect(await shown([{ prompt: "", completion: "z" }], bos)).toEqual(["<s> Z </S>"]);
    expect(await shown([{ text: "x" }], bos)).toEqual(["<S> X </S>"]);
    expect(await shown([{ messages: [user, assistant] }], bos)).toEqual(["<s> <|u|> q <|a|> O K </S>"]);
  });

  it("cuts prompt and completion into tokens together", async () => {
    expect(await shown([{ prompt: "xa", completion: "bz" }])).toEqual(["x AB Z </S>"]);
  });

  it("keeps special tokens in texts as text", async () => {
    const { examples } = await readExamples([source("a.jsonl", { text: "x</s>y" })], usual);
    expect([...examples[0]!.ids].filter((id) => id === 1)).toHaveLength(1);
  });

  it("hands tools and variables to the template", async () => {
    const row = { messages: [user, assistant], tools: [{}, {}], chat_template_kwargs: { mood: "m" } };
    const telling = { template: chatTemplate(`{{ 'two' if tools and tools | length == 2 else 'none' }}{{ mood }}${template.source}`) };
    expect(await shown([row], telling)).toEqual(["t w o m <|u|> q <|a|> O K </S>"]);
    expect(await shown([{ ...row, tools: null, chat_template_kwargs: null }], telling)).toEqual(["n o n e <|u|> q <|a|> O K </S>"]);
    await expect(shown([{ ...row, tools: 1 }])).rejects.toThrow(/"tools" must be a list, it is 1/);
    await expect(shown([{ ...row, chat_template_kwargs: [] }])).rejects.toThrow(/"chat_template_kwargs" must be an object, it is a list/);
  });

  it("cuts long texts into pieces in which every id but the first is predicted once", async () => {
    expect(await shown([{ text: "cdefghijk" }], { context: 4 })).toEqual(["C D E F", "f G H I", "i J K </S>"]);
    expect(await shown([{ text: "cdefgh" }], { context: 4 })).toEqual(["C D E F", "f G H </S>"]);
    expect(await shown([{ text: "cde" }], { context: 4 })).toEqual(["C D E </S>"]);
    expect(await shown([{ text: "cdef" }], { context: 4 })).toEqual(["C D E F", "f </S>"]);
  });

  it("reads several files and names them", async () => {
    const { examples } = await readExamples([source("x/a.jsonl", { text: "a" }), source("b.jsonl", "", { text: "b" })], usual);
    expect(examples.map(({ name }) => name)).toEqual(["a.jsonl line 1", "b.jsonl line 2"]);
  });

  it.each([
    ['{"text": 5}', /line 2, column 10: "text" must be a text, it is 5/],
    ['{"text": ""}', /column 10: "text" is empty/],
    ['{"ids": 5}', /column 9: "ids" must be a list of token ids, it is 5/],
    ['{"ids": [1, 2.5]}', /"ids" holds 2.5 at index 1; ids are whole numbers from 0 on/],
    ['{"ids": [1, -1]}', /"ids" holds -1 at index 1/],
    ['{"ids": [1, 40]}', /"ids" holds 40, but the vocabulary has 40/],
    ['{"ids": [1]}', /nothing is to be predicted in 1 tokens/],
    ['{"ids": []}', /nothing is to be predicted in 0 tokens/],
    ['{"prompt": "a"}', /the field "completion" is missing; a row is \{"messages"\}, \{"prompt", "completion"\}, \{"text"\}, \{"ids"\}/],
    ['{"promt": "a", "completion": "b"}', /column 11: the field "promt" is not known; did you mean "prompt"\?/],
    ['{"label": 1}', /nothing to learn from is here/],
    ['{"text": "a", "ids": [1, 2]}', /column 22: the row is \{"text"\} and \{"ids"\} at once/],
    ['{"text": "a", "completion": "b"}', /column 29: the field "completion" does not belong to a row of \{"text"\}/],
    ['{"prompt": "a", "chosen": "b", "rejected": "c"}', /the row is \{"prompt", "chosen", "rejected"\}, which is of no use here/],
    ['{"messages": []}', /"messages" is empty/],
    ['{"messages": "hi"}', /"messages" must be a list of messages, it is "hi"/],
    ['{"messages": [{"content": "x"}]}', /message 0 of "messages" must be an object with a role, it is an object/],
    ['{"messages": [{"role": "user", "content": "x"}]}', /there is no answer to learn from/],
    [
      '{"messages": [{"role": "usr", "content": "x"}, {"role": "assistant", "content": "y"}]}',
      /the role "usr" is not known; did you mean "user"/,
    ],
    ['{"messages": [{"role": "user"}, {"role": "assistant", "content": "y"}]}', /message 0 has no content/],
  ])("%s is refused, or skipped and counted", async (line, message) => {
    const files = [source("a.jsonl", { text: "good" }, line, { text: "also" })];
    const error = await readExamples(files, usual).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "FRUGAL_BAD_FILE", fields: { file: "a.jsonl", line: 2 } });
    expect((error as Error).message).toMatch(message);
    const { examples, report } = await readExamples(files, { ...usual, badLines: "skip" });
    expect(examples.map(({ name }) => name)).toEqual(["a.jsonl line 1", "a.jsonl line 3"]);
    expect(report).toMatchObject({ lines: 3, examples: 2, badLines: 1 });
    expect(report.firstBad).toEqual([(error as Error).message]);
  });

  it("refuses, skips or truncates what is longer than the context, and counts it", async () => {
    const rows = [{ ids: [4, 5, 6, 7, 8] }, { ids: [4, 5] }, { prompt: "cde", completion: "f" }];
    await expect(shown(rows, { context: 4 })).rejects.toMatchObject({
      code: "FRUGAL_CONTEXT_FULL",
      message: expect.stringMatching(/^a\.jsonl line 1: has 5 tokens, more than the 4 the model may read/),
    });
    await expect(shown(rows, { context: 4, badLines: "skip" })).rejects.toThrow(/has 5 tokens/);
    const skipped = await readExamples([source("a.jsonl", ...rows)], { ...usual, context: 4, tooLong: "skip" });
    expect(skipped.report).toMatchObject({ lines: 3, examples: 1, skippedLong: 2, truncated: 0 });
    // Of the last nothing that is to be predicted would be left.
    const truncated = await readExamples([source("a.jsonl", ...rows)], { ...usual, context: 3, tooLong: "truncate" });
    expect(truncated.report).toMatchObject({ lines: 3, examples: 2, skippedLong: 1, truncated: 1, tokens: 5, scoredTokens: 3 });
    expect([...truncated.examples[0]!.ids]).toEqual([4, 5, 6]);
  });

  it("counts tokens, and fields that say nothing about training", async () => {
    const rows = [
      { text: "xy", source: "web" },
      { prompt: "x", completion: "y", source: "book", id: 7 },
    ];
    const { report } = await readExamples([source("a.jsonl", ...rows)], usual);
    expect(report).toEqual({
      lines: 2,
      examples: 2,
      tokens: 6,
      scoredTokens: 4,
      badLines: 0,
      firstBad: [],
      skippedLong: 0,
      truncated: 0,
      ignoredFields: { source: 2, id: 1 },
    });
  });

  it("says that there is nothing, and why", async () => {
    await expect(readExamples([], usual)).rejects.toThrow(/data: no files: nothing to learn from: no line holds anything/);
    await expect(shown(["", "  "])).rejects.toThrow(/data: a.jsonl: nothing to learn from: no line holds anything/);
    await expect(shown(["{", { ids: [1, 2, 3] }], { badLines: "skip", tooLong: "skip", context: 2 })).rejects.toThrow(
      /1 of 2 lines are bad \(a.jsonl: line 1, column 2.*\), 1 of 2 are longer than the context/,
    );
  });

  it("trains on ids without a tokenizer, and on nothing else", async () => {
    const bare: ReadOptions = { vocabularySize: 40, context: 8 };
    expect((await readExamples([source("a.jsonl", { ids: [1, 2] })], bare)).examples).toHaveLength(1);
    await expect(readExamples([source("a.jsonl", { text: "a" })], bare)).rejects.toThrow(/no tokenizer for rows of texts; give token ids/);
    await expect(readExamples([source("a.jsonl", { messages: [user, assistant] })], bare)).rejects.toThrow(/rows of messages/);
    await expect(readExamples([source("a.jsonl", { ids: [1, 2] })], { ...bare, context: 1 })).rejects.toThrow(/context is 1/);
  });

  it("stops when asked to", async () => {
    await expect(readExamples([source("a.jsonl", { text: "a" })], { ...usual, signal: AbortSignal.abort() })).rejects.toThrow(/abort/);
    // Other work has its turn between rows, so it can be stopped half-way.
    const many = Array.from({ length: 20_000 }, () => ({ text: "abcdefghijk" }));
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 5);
    await expect(readExamples([source("a.jsonl", ...many)], { ...usual, signal: controller.signal })).rejects.toThrow(/abort/);
  });
});

describe("readPreferences", () => {
  const read = async (row: unknown, options: Partial<ReadOptions> = {}): Promise<string[][]> => {
    const { examples } = await readPreferences([source("a.jsonl", row)], { ...usual, ...options });
    return examples.map(({ chosen, rejected }) => [chosen, rejected].map(({ ids, scored }) => marked(ids, scored)));
  };

  it("reads texts and messages, and predicts only the two answers", async () => {
    expect(await read({ prompt: "x", chosen: "y", rejected: "zz" })).toEqual([["x Y </S>", "x Z Z </S>"]]);
    const no = { role: "assistant", content: "no" };
    expect(await read({ prompt: [user, assistant, user], chosen: [assistant], rejected: [no] })).toEqual([
      ["<|u|> q <|a|> o k </s> <|u|> q <|a|> O K </S>", "<|u|> q <|a|> o k </s> <|u|> q <|a|> N O </S>"],
    ]);
  });

  it("keeps both answers or none", async () => {
    const row = { prompt: "xx", chosen: "y", rejected: "zzzzzz" };
    await expect(read(row, { context: 6 })).rejects.toThrow(/has 9 tokens/);
    await expect(read(row, { context: 6, tooLong: "skip" })).rejects.toThrow(/1 of 1 are longer than the context/);
    expect(await read(row, { context: 6, tooLong: "truncate" })).toEqual([["x x Y </S>", "x x Z Z Z Z"]]);
    const { report } = await readPreferences([source("a.jsonl", row)], { ...usual, context: 6, tooLong: "truncate" });
    expect(report).toMatchObject({ examples: 1, truncated: 1, tokens: 10, scoredTokens: 6 });
  });

  it("refuses mixtures and other rows", async () => {
    await expect(read({ prompt: "x", chosen: "y", rejected: [assistant] })).rejects.toThrow(/"rejected" must be what "prompt" is/);
    await expect(read({ text: "x" })).rejects.toThrow(/which is of no use here: a row is \{"prompt", "chosen", "rejected"\}/);
    await expect(read({ prompt: "x", chosen: "y" })).rejects.toThrow(/"rejected" is missing/);
  });
});
