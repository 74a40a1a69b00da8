/**
 * The test suite of JSON Schema (2020-12), where `node scripts/schema-suite.mjs` has fetched it. Of schemas that we take, no invalid instance may
 * be written; which valid ones cannot, and which schemas we refuse, stands in docs/constrained-output.md: FRUGAL_WRITE=1 writes it anew.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { FrugalError } from "../../src/tensor/error.ts";
import { compileConstraint } from "../../src/text/constraint/compile.ts";
import { createStates, type States } from "../../src/text/constraint/states.ts";

interface Group {
  readonly description: string;
  readonly schema: unknown;
  readonly tests: readonly { readonly description: string; readonly data: unknown; readonly valid: boolean }[];
}

const folder = join(homedir(), ".cache", "frugal", "json-schema-suite", "draft2020-12");
const page = fileURLToPath(new URL("../../docs/constrained-output.md", import.meta.url));
const mostOrders = 200;

const isWritten = (states: States, text: string): boolean => {
  states.rest();
  let state = states.start;
  for (const byte of new TextEncoder().encode(text)) {
    state = states.step(state, byte);
    if (state < 0) return false;
  }
  return states.accepts(state);
};

/** The value as JSON, its members in every order: which one the grammar wants is its own affair. */
function* texts(value: unknown): Generator<string> {
  if (typeof value !== "object" || value === null) yield JSON.stringify(value);
  else if (Array.isArray(value))
    yield* joined(
      value.map((item) => [...texts(item)]),
      "[",
      "]",
    );
  else
    for (const order of orders(Object.entries(value)))
      yield* joined(
        order.map(([key, member]) => Array.from(texts(member), (text) => `${JSON.stringify(key)}:${text}`)),
        "{",
        "}",
      );
}

function* joined(members: readonly (readonly string[])[], open: string, close: string): Generator<string> {
  let made: string[][] = [[]];
  for (const member of members) made = made.flatMap((before) => member.map((text) => [...before, text])).slice(0, mostOrders);
  for (const each of made) yield `${open}${each.join()}${close}`;
}

function* orders<T>(list: readonly T[]): Generator<readonly T[]> {
  if (list.length < 2 || list.length > 5) yield list;
  else for (let i = 0; i < list.length; i++) for (const rest of orders(list.toSpliced(i, 1))) yield [list[i]!, ...rest];
}

const compiled = (schema: unknown): States | FrugalError => {
  try {
    return createStates(compileConstraint({ kind: "json-schema", schema }, 10_000));
  } catch (error) {
    if (error instanceof FrugalError) return error;
    throw error;
  }
};

it.skipIf(!existsSync(folder))("JSON Schema's own suite (skipped without node scripts/schema-suite.mjs)", { timeout: 300_000 }, () => {
  const names = [
    ...readdirSync(folder).filter((name) => name.endsWith(".json")),
    ...readdirSync(join(folder, "optional/format")).map((name) => `optional/format/${name}`),
  ];
  const rows: string[] = [];
  const unsound: string[] = [];
  const refusals = new Map<string, number>();
  const total = { schemas: 0, taken: 0, valid: 0, written: 0, invalid: 0, refused: 0 };
  for (const name of names.sort()) {
    const row = { schemas: 0, taken: 0, valid: 0, written: 0, invalid: 0, refused: 0 };
    for (const { description, schema, tests } of JSON.parse(readFileSync(join(folder, name), "utf8")) as Group[]) {
      row.schemas++;
      const states = compiled(schema);
      if (states instanceof FrugalError && !states.message.includes("no text at all")) {
        const keyword = String(states.fields["keyword"] ?? states.message).replace(
          /^\$ref .*/u,
          "$ref to another document or an inner $id",
        );
        refusals.set(keyword, (refusals.get(keyword) ?? 0) + 1);
        continue;
      }
      row.taken++;
      for (const test of tests) {
        const found = states instanceof FrugalError ? undefined : Array.from(texts(test.data)).find((text) => isWritten(states, text));
        if (test.valid) {
          row.valid++;
          if (found !== undefined) row.written++;
        } else {
          row.invalid++;
          if (found === undefined) row.refused++;
          else unsound.push(`${name}: ${description}: ${test.description}: ${found}`);
        }
      }
    }
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += row[key];
    rows.push(
      `| ${name.slice(0, -5)} | ${row.taken} of ${row.schemas} | ${row.written} of ${row.valid} | ${row.refused} of ${row.invalid} |`,
    );
  }
  expect(unsound).toEqual([]);
  expect(total.written / total.valid).toBeGreaterThan(0.93);
  if (process.env["FRUGAL_WRITE"] === undefined) return;
  const table = [
    "| file of the suite | schemas taken | valid instances that can be written | invalid ones that cannot |",
    "|---|---|---|---|",
    ...rows,
    `| all | ${total.taken} of ${total.schemas} | ${total.written} of ${total.valid} | ${total.refused} of ${total.invalid} |`,
    "",
    "Schemas refused, by what they were refused for:",
    "",
    ...[...refusals].sort((a, b) => b[1] - a[1]).map(([keyword, count]) => `- ${count}: ${keyword.replaceAll("|", "\\|")}`),
  ].join("\n");
  writeFileSync(
    page,
    readFileSync(page, "utf8").replace(/(<!-- suite -->\n)[^]*(\n<!-- end -->)/u, (_, begin: string, end: string) => begin + table + end),
  );
});
