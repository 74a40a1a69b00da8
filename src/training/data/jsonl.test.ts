/** Lines and what is wrong with them, wherever the pieces of the file are cut. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrugalError } from "../../tensor/error.ts";
import { bytesSource } from "../../tensor/source.ts";
import { type JsonLine, readJsonl } from "./jsonl.ts";
import { readLines } from "./lines.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function linesOf(text: string | Uint8Array, longest = 1000, piece = 3): Promise<[number, string | number][]> {
  const found: [number, string | number][] = [];
  const source = bytesSource("a", typeof text === "string" ? bytes(text) : text);
  for await (const line of readLines(source, longest, piece))
    found.push([line.number, "bytes" in line ? new TextDecoder().decode(line.bytes) : line.length]);
  return found;
}

describe("readLines", () => {
  it("gives every line once, whatever the pieces", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: "binary" }).map((line) => line.replace(/[\r\n\ufeff]/gu, ""))),
        fc.integer({ min: 1, max: 9 }),
        async (lines, piece) => {
          // A last line that is empty cannot be told from the end of the line before.
          const text = lines.join("\n");
          const wanted = text === "" ? [] : text.endsWith("\n") ? lines.slice(0, -1) : lines;
          expect((await linesOf(text, 1e6, piece)).map(([, line]) => line)).toEqual(
            wanted.map((line) => new TextDecoder().decode(bytes(line))),
          );
        },
      ),
    );
  });

  it("leaves out \\r before \\n and a byte order mark, and counts blank lines", async () => {
    expect(await linesOf("\ufeffab\r\n\r\nc\rd\n")).toEqual([
      [1, "ab"],
      [2, ""],
      [3, "c\rd"],
    ]);
  });

  it("gives the length of a line that is too long, and goes on after it", async () => {
    expect(await linesOf(`a\n${"x".repeat(20)}\nb`, 19)).toEqual([
      [1, "a"],
      [2, 20],
      [3, "b"],
    ]);
    expect((await linesOf("x".repeat(20), 20))[0]).toEqual([1, "x".repeat(20)]);
  });
});

async function first(text: string | Uint8Array): Promise<JsonLine | FrugalError> {
  for await (const line of readJsonl(bytesSource("some/where/a.jsonl", typeof text === "string" ? bytes(text) : text))) return line;
  throw new Error("no line");
}

describe("readJsonl", () => {
  it("gives objects with their places, and leaves blank lines out", async () => {
    const found: unknown[] = [];
    for await (const line of readJsonl(bytesSource("a.jsonl", bytes('{"a":1}\n\n  \n {"b":[2]} \n'))))
      if (!(line instanceof FrugalError)) found.push([line.name, line.value]);
    expect(found).toEqual([
      ["a.jsonl line 1", { a: 1 }],
      ["a.jsonl line 4", { b: [2] }],
    ]);
  });

  it.each([
    ['{"a": 1,}', 9, /"}" stands where a key in double quotes should/],
    ['{"a": ', 7, /the line ends where a value should stand/],
    ['{"a": 1} x', 10, /something stands after the end/],
    ["{'a': 1}", 2, /stands where a key in double quotes or } should/],
    [' [{"a": 1}]', 2, /here stands an array, as a JSON file has it; write one object a line/],
    ['"text"', 1, /here stands no object/],
    ['{"text": "a", "text": "b"}', 15, /the field "text" is there twice/],
  ])("%s: column %d", async (text, column, message) => {
    const error = await first(text);
    expect(error).toBeInstanceOf(FrugalError);
    expect((error as FrugalError).message).toMatch(message);
    expect((error as FrugalError).message).toMatch(`a.jsonl: line 1, column ${column}: `);
    expect((error as FrugalError).fields).toEqual({ file: "a.jsonl", line: 1, column });
  });

  it("names the place of bytes that are no UTF-8", async () => {
    const error = (await first(Uint8Array.of(...bytes('{"ü€": "'), 0xff, ...bytes('"}')))) as FrugalError;
    expect(error.message).toMatch(/column 9: this is not UTF-8 text/);
    const cut = (await first(Uint8Array.of(...bytes('{"a": "'), 0xe2, 0x82))) as FrugalError;
    expect(cut.message).toMatch(/column 8: this is not UTF-8 text/);
  });

  it("names the column of a field's value", async () => {
    const line = (await first('{"x": {"text": "no"}, "y": "\\"text\\": 1", "text" :  5}')) as JsonLine;
    expect(line.wrong("it is bad", "text").message).toMatch(/column 53: it is bad; correct the line/);
    expect(line.wrong("it is bad", "other").message).toMatch(/column 1: /);
  });
});
