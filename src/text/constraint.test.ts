/** Constraints on real vocabularies: what is allowed, what is refused, and that hostile ones end. */
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allows, byteIds, fixtureVocabulary, drawn, storiesVocabulary, type Vocabulary } from "../../testing/constraints.ts";
import { uniform } from "../tensor/random.ts";
import { type Constraint, createConstraintCompiler } from "./constraint.ts";
import { startCompiling } from "./constraint/compiling.ts";

const vocabularies = new Map<string, Vocabulary>();
beforeAll(async () => {
  vocabularies.set("the embedded model", await storiesVocabulary());
  vocabularies.set("byte fallback", fixtureVocabulary("llama2.json"));
  vocabularies.set("byte level", fixtureVocabulary("gpt2.json"));
});
afterAll(() => Promise.all([...vocabularies.values()].map(({ compiler }) => compiler.dispose())));

const ids = (v: Vocabulary, text: string): Int32Array =>
  v.tokenizer.dropsFirstSpace ? byteIds(v, text) : v.tokenizer.encode(text, { addSpecial: false });

const grammar = 'root ::= greeting (", " name)? # who\ngreeting ::= "Hi" | "Hello"\nname ::= [A-Z] [a-z]{1,3}\n  | "\\u00fc" .';
const cases: readonly (readonly [Constraint, yes: readonly string[], no: readonly string[]])[] = [
  [
    { kind: "json" },
    ['{"a":1}', "{}", '{"a": [1, {"b":null}], "c":"\\u00e9 \\n"}'],
    ["[]", "1", '{"a":1,}', '{"a":  1}', '{"a":01}', '{"a":"\\ud800"}'],
  ],
  [{ kind: "regex", pattern: "\\d{3}-[a-f]+" }, ["123-a", "999-abcdef"], ["12-a", "123-", "123-ag"]],
  [{ kind: "regex", pattern: "^(?:\\p{Lu}|ß)é?$" }, ["Ü", "ß", "Üé", "Aé"], ["ü", "ßß", ""]],
  [{ kind: "regex", pattern: ".{2,4}" }, ["日本", "a😀bc"], ["a", "abcde", "a\nb"]],
  [{ kind: "regex", pattern: "^(?!\\.)(?!.*\\.\\.)(?=.*b)[ab.]+$" }, ["ab", "a.b"], [".b", "a..b", "aa"]],
  [{ kind: "choice", choices: ["yes", "no", "yes, but"] }, ["yes", "no", "yes, but"], ["ye", "yes,", "maybe"]],
  [{ kind: "grammar", grammar }, ["Hi", "Hello, Ann", "Hi, üx", "Hi, ü日"], ["Hey", "Hi, ann", "Hi, Anton", "Hello,"]],
  [{ kind: "json-schema", schema: { enum: ["a", 1, { b: [] }] } }, ['"a"', "1", '{"b":[]}'], ["2", '"b"', "{}"]],
];

describe.each(["the embedded model", "byte fallback", "byte level"])("the vocabulary of %s", (name) => {
  it.each(cases)("%j", async (constraint, yes, no) => {
    const v = vocabularies.get(name)!;
    for (const text of [...yes, ...no]) expect([text, await allows(v, constraint, ids(v, text))]).toEqual([text, yes.includes(text)]);
  });

  it("allows exactly the tokens that can be accepted", async () => {
    const v = vocabularies.get(name)!;
    const text = '{"ab": ["x y", -1.5, "日"]}';
    const compiled = await v.compiler.compile({
      kind: "json-schema",
      schema: { type: "object", properties: { ab: { type: "array", items: { maxLength: 3 } } } },
    });
    const written = [...ids(v, text)];
    for (let count = 0; count < written.length; count++) {
      const before = compiled.start();
      for (const id of written.slice(0, count)) before.accept(id);
      const mask = before.allowed();
      for (let id = 0; id < v.tokenizer.vocabularySize; id++) {
        const matcher = compiled.start();
        for (const each of written.slice(0, count)) matcher.accept(each);
        let accepted = true;
        try {
          matcher.accept(id);
        } catch {
          accepted = false;
        }
        if (accepted !== (((mask[id >> 5]! >>> (id & 31)) & 1) === 1)) expect([count, id, v.tokenizer.pieceText(id)]).toEqual(accepted);
        if (v.tokenizer.vocabularySize > 2000) id += 6;
      }
    }
  });

  it("drawn texts are what they must be", async () => {
    const v = vocabularies.get(name)!;
    let ended = 0;
    for (let seed = 0; seed < 20; seed++) {
      let position = 0;
      const text = await drawn(v, { kind: "json" }, () => uniform(seed, position++), 400);
      if (text === undefined) continue;
      ended++;
      expect(typeof JSON.parse(text)).toBe("object");
    }
    expect(ended).toBeGreaterThan(5);
  });
});

it("a first space that the tokenizer leaves out counts as nothing", async () => {
  const { tokenizer, compiler } = vocabularies.get("byte fallback")!;
  expect(tokenizer.dropsFirstSpace).toBe(true);
  let spaced = 0;
  while (tokenizer.pieceBytes(spaced)[0] !== 0x20 || tokenizer.pieceBytes(spaced).length < 3) spaced++;
  const word = new TextDecoder().decode(tokenizer.pieceBytes(spaced).subarray(1));
  const compiled = await compiler.compile({ kind: "choice", choices: [`${word} day`] });
  expect(() => compiled.start().accept(spaced)).toThrow(/not allowed/);
  const matcher = compiled.start({ dropsFirstSpace: true });
  expect((matcher.allowed()[spaced >> 5]! >>> (spaced & 31)) & 1).toBe(1);
  matcher.accept(spaced);
  expect(() => matcher.accept(spaced)).toThrow(/not allowed/);
});

it("is over where nothing may follow, and complete where it may end", async () => {
  const v = vocabularies.get("byte level")!;
  const matcher = (await v.compiler.compile({ kind: "regex", pattern: "ab?" })).start();
  expect([matcher.complete, matcher.over]).toEqual([false, false]);
  matcher.accept(v.tokenizer.idOf("a")!);
  expect([matcher.complete, matcher.over]).toEqual([true, false]);
  matcher.accept(v.tokenizer.idOf("b")!);
  expect([matcher.complete, matcher.over]).toEqual([true, true]);
});

const deep = (levels: number): unknown => (levels === 0 ? { type: "integer" } : { oneOf: [deep(levels - 1), { type: "string" }] });
const nested = (levels: number): unknown => {
  let schema: unknown = { type: "integer" };
  for (let i = 0; i < levels; i++) schema = { type: "array", items: schema };
  return schema;
};
const wide = (options: number): unknown => ({
  allOf: Array.from({ length: options }, (_, i) => ({ anyOf: [{ minLength: i }, { maxItems: i }, { minimum: i }] })),
});
const cycle: unknown = { $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } }, $ref: "#/$defs/a" };
const circular: Record<string, unknown> = {};
circular["properties"] = { a: circular };

describe("what is hostile ends with a word", () => {
  it.each<[string, Constraint, RegExp]>([
    ["a oneOf in a oneOf", { kind: "json-schema", schema: deep(100) }, /nested deeper|hold together/],
    ["arrays in arrays", { kind: "json-schema", schema: nested(5000) }, /nested deeper|as JSON/],
    ["too many alternatives", { kind: "json-schema", schema: wide(14) }, /more than 4000 alternatives|more than \d+ steps/],
    ["references in a circle", { kind: "json-schema", schema: cycle }, /endlessly/],
    ["an object that holds itself", { kind: "json-schema", schema: circular }, /cannot be written as JSON/],
    ["a large schema", { kind: "json-schema", schema: { description: "x".repeat(10_000_000) } }, /characters, more than/],
    ["counts in counts", { kind: "json-schema", schema: { type: "string", pattern: "^((a{1,100}){1,100}){1,100}$" } }, /more than/],
    ["a pattern of many states", { kind: "json-schema", schema: { type: "string", pattern: "a.{20}b" } }, /more than/],
    ["a left recursion", { kind: "grammar", grammar: 'root ::= root "a" | "a"' }, /left recursion/],
    ["rules without an end", { kind: "grammar", grammar: 'root ::= "a" root' }, /no text at all/],
    ["a missing rule", { kind: "grammar", grammar: 'root ::= nam\nname ::= "a"' }, /write name/],
    ["groups in groups", { kind: "grammar", grammar: `root ::= ${"(".repeat(100_000)}` }, /groups deeper/],
    ["groups in an expression", { kind: "regex", pattern: "(".repeat(15_000) }, /groups deeper/],
    ["a back reference", { kind: "regex", pattern: "(a)\\1" }, /back references/],
    ["a lookahead inside", { kind: "regex", pattern: "a(?!b)c" }, /lookahead stands elsewhere/],
    ["a lookbehind", { kind: "regex", pattern: "(?<!a)b" }, /group that is not supported/],
    ["no choices", { kind: "choice", choices: [] }, /no list of texts/],
    ["an unknown kind", { kind: "jsn" } as never, /write json/],
    ["nothing", null as never, /an object with a kind/],
    [
      "an unknown keyword",
      { kind: "json-schema", schema: { type: "string", maxLenght: 3 } },
      /maxLenght at # is no keyword.*write maxLength/,
    ],
    [
      "what is not enforced",
      { kind: "json-schema", schema: { properties: { a: { uniqueItems: true } } } },
      /uniqueItems at #\/properties\/a/,
    ],
    ["contradictions", { kind: "json-schema", schema: { type: "string", minLength: 3, maxLength: 2 } }, /no text at all/],
  ])("%s", { timeout: 60_000 }, async (_, constraint, message) => {
    const v = vocabularies.get("byte fallback")!;
    await expect(v.compiler.compile(constraint)).rejects.toMatchObject({
      name: "FrugalError",
      code: expect.stringMatching(/BAD_ARGUMENT|UNSUPPORTED/) as string,
      message: expect.stringMatching(message) as string,
    });
    expect(await allows(v, { kind: "choice", choices: ["a"] }, byteIds(v, "a"))).toBe(true);
  });

  it("a text under an ambiguous one ends too", async () => {
    const v = vocabularies.get("byte fallback")!;
    const run = async (): Promise<void> => {
      const matcher = (await v.compiler.compile({ kind: "regex", pattern: "(?:a?){5000}(?:b|a{0,5000}){5000}" })).start();
      for (let i = 0; i < 50; i++) {
        matcher.allowed();
        matcher.accept(byteIds(v, "a")[0]!);
      }
    };
    await expect(run()).rejects.toMatchObject({ code: "FRUGAL_BAD_ARGUMENT" });
  });
});

it("limits are kept", async () => {
  const { tokenizer } = vocabularies.get("byte level")!;
  const small = createConstraintCompiler(tokenizer, tokenizer.vocabularySize, [], { maxBytes: 2000, cached: 1 });
  await expect(small.compile({ kind: "json" })).rejects.toThrow(/more than 2000/);
  const first = await small.compile({ kind: "regex", pattern: "a" });
  expect(await small.compile({ kind: "regex", pattern: "a" })).toBe(first);
  await small.compile({ kind: "regex", pattern: "b" });
  expect(await small.compile({ kind: "regex", pattern: "a" })).not.toBe(first);
  const hasty = createConstraintCompiler(tokenizer, tokenizer.vocabularySize, [], { timeoutMilliseconds: 0 });
  await expect(hasty.compile({ kind: "json-schema", schema: { pattern: "a.{12}b" } })).rejects.toThrow(/longer than/);
  await expect(hasty.compile({ kind: "json" }, AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
  await hasty.dispose();
  await expect(hasty.compile({ kind: "json" })).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
});

const script = new URL("../../dist/text/constraint/compile-thread.js", import.meta.url);
describe.skipIf(!existsSync(script))("in a thread (skipped before `npm run build`)", () => {
  it("gives the same, and errors come back with their codes", async () => {
    const [thread, here] = [startCompiling(script), startCompiling()];
    const task = { constraint: { kind: "json" } as const, milliseconds: 5000 };
    expect(await thread.compile(task)).toEqual(await here.compile(task));
    await expect(thread.compile({ ...task, constraint: { kind: "regex", pattern: "(" } })).rejects.toMatchObject({
      name: "FrugalError",
      code: "FRUGAL_BAD_ARGUMENT",
    });
    await thread.dispose();
  });
});
