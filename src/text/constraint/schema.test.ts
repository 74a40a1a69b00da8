/** Schemas: whatever is drawn under one fulfils it by an independent validator's word, on both kinds of vocabulary. */
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, describe, expect, it } from "vitest";
import { allows, byteIds, drawn, fixtureVocabulary } from "../../../testing/constraints.ts";
import { uniform } from "../../tensor/random.ts";

const vocabularies = [fixtureVocabulary("llama2.json"), fixtureVocabulary("gpt2.json")];
afterAll(() => Promise.all(vocabularies.map(({ compiler }) => compiler.dispose())));

const text = { type: "string", maxLength: 5 };
const schemas: readonly object[] = [
  { type: "string" },
  { type: "string", minLength: 2, maxLength: 4 },
  { type: "string", pattern: "^[a-z]{2,5}$" },
  { type: "string", pattern: "\\d", maxLength: 6 },
  { type: "string", pattern: "^a", minLength: 3, maxLength: 9, not: { pattern: "b" } },
  { type: "string", not: { enum: ["a", "b"] }, maxLength: 2 },
  { type: "string", maxLength: 12, pattern: "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_.]*)[A-Za-z]@([a-z]+\\.)+[a-z]{2,}$" },
  { type: "integer" },
  { type: "number" },
  { type: "integer", minimum: -5, maximum: 17 },
  { type: "number", exclusiveMinimum: -1.5, maximum: 3.25 },
  { type: "number", minimum: 100 },
  { type: "number", exclusiveMaximum: -0.001 },
  { type: "integer", multipleOf: 7 },
  { type: "integer", multipleOf: 12, minimum: 100, maximum: 1000 },
  { type: ["integer", "null"], minimum: 3 },
  { type: "boolean" },
  { enum: [1, "a", null, { a: [true] }] },
  { const: { b: 1, a: 'q"\\\n' } },
  { type: "array", items: text, maxItems: 3 },
  { type: "array", items: { type: "integer" }, minItems: 2, maxItems: 40 },
  { type: "array", prefixItems: [text, { type: "null" }], items: false },
  { type: "array", prefixItems: [text], items: { type: "boolean" }, minItems: 3, maxItems: 5 },
  { type: "array", items: { type: ["integer", "string"], maxLength: 2 }, contains: { type: "integer", minimum: 5 } },
  { type: "array", uniqueItems: true, maxItems: 1 },
  { type: "object" },
  { type: "object", properties: { a: text, b: { type: "integer" } }, required: ["a"], additionalProperties: false },
  { type: "object", properties: { a: text, b: { type: "integer" } } },
  { type: "object", properties: { a: text }, required: ["b", "a"], additionalProperties: { type: "boolean" } },
  { type: "object", properties: { a: true, b: true, c: true }, minProperties: 2, maxProperties: 2, additionalProperties: false },
  { type: "object", additionalProperties: { type: "integer" }, maxProperties: 2, minProperties: 1 },
  { type: "object", patternProperties: { "^s": text, n$: { type: "integer" } }, additionalProperties: false },
  { type: "object", properties: { sn: true }, patternProperties: { "^s": { minimum: 3 } }, additionalProperties: { type: "null" } },
  { type: "object", propertyNames: { pattern: "^[a-c]{1,2}$" }, additionalProperties: { type: "boolean" } },
  { type: "object", properties: { a: text, b: text }, dependentRequired: { a: ["b"] }, additionalProperties: false },
  { type: "object", properties: { a: text }, dependentSchemas: { a: { properties: { b: { const: 1 } }, required: ["b"] } } },
  { anyOf: [{ type: "integer" }, { type: "array", items: text, maxItems: 2 }] },
  {
    oneOf: [
      { type: "object", properties: { k: { const: "x" }, v: text }, required: ["k"] },
      { type: "object", properties: { k: { const: "y" } }, required: ["k"] },
    ],
  },
  { oneOf: [{ type: "integer", maximum: 4 }, { type: "number", minimum: 5 }, { type: "string" }] },
  { oneOf: [{ type: "integer" }, { minimum: 2, type: "number", maximum: 9 }] },
  { type: "string", oneOf: [{ minLength: 2 }, { pattern: "^a" }], maxLength: 4 },
  {
    allOf: [
      { type: "object", properties: { a: text }, required: ["a"] },
      { properties: { b: { type: "integer" } }, required: ["b"] },
    ],
    unevaluatedProperties: false,
  },
  { allOf: [{ minimum: 3 }, { type: "integer" }, { maximum: 12 }] },
  {
    $defs: {
      node: {
        type: "object",
        properties: { v: { type: "integer" }, next: { anyOf: [{ type: "null" }, { $ref: "#/$defs/node" }] } },
        required: ["v", "next"],
        additionalProperties: false,
      },
    },
    $ref: "#/$defs/node",
  },
  { $defs: { e: { anyOf: [{ type: "integer" }, { type: "array", items: { $ref: "#/$defs/e" }, maxItems: 2 }] } }, $ref: "#/$defs/e" },
  {
    if: { type: "object", properties: { a: { const: 1 } }, required: ["a"] },
    // oxlint-disable-next-line unicorn/no-thenable -- the word is JSON Schema's
    then: { required: ["b"] },
    else: { properties: { b: false } },
    type: "object",
    properties: { a: { enum: [1, 2] }, b: { type: "null" } },
    required: ["a"],
  },
  { not: { type: ["string", "object", "array"] } },
  {
    type: "object",
    properties: { a: { not: { required: ["b"] }, type: "object", properties: { b: true, c: text }, additionalProperties: false } },
    required: ["a"],
  },
  {
    type: "object",
    properties: { 'quote"d': { type: "null" }, "ü/~": { type: "null" }, __proto__x: { type: "null" } },
    additionalProperties: false,
  },
  { type: "array", prefixItems: [{ type: "integer" }], unevaluatedItems: { type: "string", maxLength: 1 } },
  {
    type: "object",
    properties: {
      list: {
        type: "array",
        items: {
          type: "object",
          properties: { id: { type: "integer", minimum: 1 }, tag: { enum: ["p", "q"] } },
          required: ["id"],
          additionalProperties: false,
        },
        minItems: 1,
        maxItems: 3,
      },
    },
    required: ["list"],
    additionalProperties: false,
  },
  {},
];

// Two numbers of one schema must not be far apart in ajv's own arithmetic: multiples of whole numbers only.
const ajv = new Ajv2020({ strict: false });

describe.each(schemas.map((schema) => [JSON.stringify(schema), schema] as const))("%s", (_, schema) => {
  it("is fulfilled by what is drawn", async () => {
    const validate = ajv.compile(schema);
    const found = new Set<string>();
    for (const [kind, v] of vocabularies.entries())
      for (let seed = 0; seed < 8; seed++) {
        let position = 0;
        const written = await drawn(v, { kind: "json-schema", schema }, () => uniform(seed * 2 + kind, position++), 120);
        if (written === undefined) continue;
        found.add(written);
        if (!validate(JSON.parse(written))) expect(written).toBe(`${JSON.stringify(validate.errors)}`);
      }
    expect(found.size).toBeGreaterThan(0);
  });
});

it("formats are what they are called", async () => {
  const [v] = vocabularies;
  const cases: Readonly<Record<string, readonly [yes: string, no: string]>> = {
    date: ["2024-02-29", "2023-02-29"],
    time: ["23:59:59.5Z", "24:00:00Z"],
    "date-time": ["2024-02-29T01:02:03+01:00", "2024-02-30T01:02:03Z"],
    duration: ["P1DT2H", "P1S"],
    email: ["a.b@example.org", "a@b@c"],
    hostname: ["a-b.example", "-a.example"],
    ipv4: ["127.0.0.1", "256.0.0.1"],
    ipv6: ["2001:db8::1", "2001:db8:::1"],
    uri: ["https://example.org/a?b#c", "no uri"],
    uuid: ["123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000"],
    "json-pointer": ["/a~1b/0", "a"],
  };
  for (const [format, [yes, no]] of Object.entries(cases)) {
    const constraint = { kind: "json-schema", schema: { type: "string", format } } as const;
    expect([format, await allows(v!, constraint, byteIds(v!, JSON.stringify(yes)))]).toEqual([format, true]);
    expect([format, await allows(v!, constraint, byteIds(v!, JSON.stringify(no)))]).toEqual([format, false]);
  }
  const named = { type: "string", format: "cuid2", pattern: "^[0-9a-z]{3}$" };
  expect(await allows(v!, { kind: "json-schema", schema: named }, byteIds(v!, '"a1z"'))).toBe(true);
  for (const schema of [
    { ...named, format: "iri" },
    { type: "string", format: "cuid2" },
  ])
    await expect(v!.compiler.compile({ kind: "json-schema", schema })).rejects.toMatchObject({ code: "FRUGAL_UNSUPPORTED" });
});
