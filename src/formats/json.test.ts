import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseJson, parseJsonObject } from "./json.ts";
import { scanJson } from "./json-scan.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("JSON of files", () => {
  it.each([
    ['{"a": 1,}', /line 1, column 9: "}" stands where a key in double quotes should/],
    ['{\n  "a": 1\n  "b": 2\n}', /line 3, column 3: .* stands where a comma or a closing bracket should/],
    ['{"a"', /line 1, column 5: the file ends where a colon should stand/],
    ["{a: 1}", /line 1, column 2: .* a key in double quotes or }/],
    ['{"a": "b', /line 1, column 7: a string begins here that does not end properly/],
    ['{"a": 01}', /line 1, column 8/],
    ['{"a": nul}', /line 1, column 7/],
    ["{} x", /line 1, column 4: something stands after the end/],
    ["[1]", /line 1, column 1: an object should stand here/],
    ["", /line 1, column 1: the file ends where a value should stand/],
  ])("%s", (text, message) => {
    expect(() => parseJsonObject("config.json", bytes(text))).toThrow(message);
    expect(() => parseJsonObject("config.json", bytes(text))).toThrow(/^config\.json: line .*; correct it/);
  });

  it("names the key that is there twice, in the outermost object only", () => {
    expect(() => parseJsonObject("h", bytes('{"a": 1,\n "\\u0061": 2}'), { uniqueKeys: true })).toThrow(
      /line 2, column 2: the key "a" is there twice/,
    );
    expect(parseJsonObject("h", bytes('{"a": {"b": 1, "b": 2}, "b": 1}'), { uniqueKeys: true })).toEqual({ a: { b: 2 }, b: 1 });
    expect(parseJsonObject("h", bytes('{"a": 1, "a": 2}'))).toEqual({ a: 2 });
  });

  it("refuses bytes that are not UTF-8", () => {
    expect(() => parseJson("x", Uint8Array.of(0x22, 0xff, 0x22))).toThrow(/not UTF-8/);
  });

  it("scans deep nesting without a stack of its own", () => {
    expect(scanJson("[".repeat(200_000)).error?.offset).toBe(200_000);
  });

  it("agrees with JSON.parse on what is JSON", () => {
    const parses = (text: string): boolean => {
      try {
        JSON.parse(text);
        return true;
      } catch {
        return false;
      }
    };
    const nearly = fc.tuple(fc.json(), fc.nat(), fc.constantFrom(...'{}[]",:\\ 0-e.tn\u0001')).map(([text, place, char]) => {
      const i = place % (text.length + 1);
      return text.slice(0, i) + char + text.slice(i + (place % 2));
    });
    fc.assert(
      fc.property(nearly, (text) => (scanJson(text).error === undefined) === parses(text)),
      { numRuns: 2000 },
    );
  });
});
