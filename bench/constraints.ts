/** `npm run bench:constraints -- MODEL`: what constraints cost on a model's vocabulary, in milliseconds: compiling, and the mask of each token, first and again. */
import { parseArgs } from "node:util";

interface Tokenizer {
  readonly vocabularySize: number;
  readonly endOfGeneration: ReadonlySet<number>;
  encode(text: string, options: { readonly addSpecial: boolean }): Int32Array;
}
interface Matcher {
  allowed(): Int32Array;
  accept(id: number): void;
}
interface Compiler {
  compile(constraint: object): Promise<{ start(): Matcher; readonly bytes: number }>;
  dispose(): Promise<void>;
}
const built = async <T>(path: string): Promise<T> => (await import(new URL(`../../dist/${path}`, import.meta.url).href)) as T;
const { load } = await built<{ load(model: string): Promise<{ tokenizer(): Promise<Tokenizer>; dispose(): Promise<void> }> }>("index.js");
const { createConstraintCompiler } = await built<{
  createConstraintCompiler(tokenizer: Tokenizer, size: number, ends: readonly number[]): Compiler;
}>("text/constraint.js");

const { positionals } = parseArgs({ allowPositionals: true });
const [name] = positionals;
if (name === undefined || positionals.length > 1) throw new Error("usage: npm run bench:constraints -- MODEL");
const model = await load(name);
const tokenizer = await model.tokenizer();
await model.dispose();

const person = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 40 },
    age: { type: "integer", minimum: 0, maximum: 150 },
    tags: { type: "array", items: { type: "string" }, maxItems: 5 },
    mail: { type: "string", pattern: "^[a-z.]{1,20}@[a-z]{1,20}\\.org$" },
  },
  required: ["name", "age", "tags", "mail"],
  additionalProperties: false,
};
const written = '{"name": "Anna Kathe Müller", "age": 34, "tags": ["a tree frog", "日本語のテキスト"], "mail": "anna.k@example.org"}';
const free = '{"name": "Anna Kathe", "list": [1, -2.5e3, true, {"deep": [null, "text with some words"]}]}';
const cases: readonly (readonly [kind: string, constraint: object, text: string])[] = [
  ["json", { kind: "json" }, free],
  ["schema", { kind: "json-schema", schema: person }, written],
  ["expression", { kind: "regex", pattern: "[A-Z].{10,200}\\." }, "The quick brown fox jumps over the lazy dog, again and again."],
  ["choice", { kind: "choice", choices: Array.from({ length: 1000 }, (_, i) => `answer ${i}`) }, "answer 577"],
];
const middle = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[times.length >> 1]!;
const timed = async <T>(work: () => T | Promise<T>): Promise<readonly [T, number]> => {
  const begun = performance.now();
  const result = await work();
  return [result, performance.now() - begun];
};

const ends = [...tokenizer.endOfGeneration];
const fresh = createConstraintCompiler(tokenizer, tokenizer.vocabularySize, ends);
const [, first] = await timed(() => fresh.compile({ kind: "choice", choices: ["a"] }));
console.log(`${tokenizer.vocabularySize} tokens; the first constraint, with the vocabulary's trie: ${first.toFixed(0)} ms`);
console.log("kind        compile    bytes   mask first: middle, largest   again: middle   tokens");
for (const [kind, constraint, text] of cases) {
  const [compiled, compile] = await timed(() => fresh.compile(constraint));
  const ids = [...tokenizer.encode(text, { addSpecial: false })];
  const times = async (): Promise<number[]> => {
    const matcher = compiled.start();
    const found: number[] = [];
    for (const id of ids) {
      found.push((await timed(() => (matcher.allowed(), matcher.accept(id))))[1]);
    }
    return found;
  };
  const [cold, warm] = [await times(), await times()];
  console.log(
    `${kind.padEnd(10)} ${compile.toFixed(1).padStart(8)} ${String(compiled.bytes).padStart(8)} ${middle(cold).toFixed(3).padStart(19)}, ${Math.max(
      ...cold,
    )
      .toFixed(2)
      .padStart(7)} ${middle(warm).toFixed(4).padStart(15)} ${String(ids.length).padStart(8)}`,
  );
}
await fresh.dispose();
