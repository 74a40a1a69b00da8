/**
 * Finds what `JSON.parse` does not tell on every engine: where text stops being JSON, and a key that is there twice.
 * It walks over the text with an explicit stack, so depth costs no call stack.
 */

export interface JsonScan {
  /** The first place where the text is not JSON. */
  readonly error?: { readonly offset: number; readonly wrong: string };
  /** The first key of the outermost object that repeats an earlier one. */
  readonly duplicate?: { readonly offset: number; readonly key: string };
}

type Expect = "value" | "value or ]" | "key" | "key or }" | "colon" | "comma";

const token =
  /[ \t\n\r]*(?:([[\]{},:])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

export function scanJson(text: string): JsonScan {
  const open: string[] = [];
  const keys = new Set<string>();
  let expect: Expect | "end" = "value";
  let duplicate: JsonScan["duplicate"];
  let position = 0;
  while (expect !== "end") {
    token.lastIndex = position;
    const match = token.exec(text);
    if (match === null) return { error: whatIsWrong(text, position, expect) };
    const offset = token.lastIndex - match[0].trimStart().length;
    const next = step(expect, match, open);
    if (next === undefined) return { error: { offset, wrong: `${shown(text, offset)} stands where ${expected(expect)} should` } };
    if (open.length === 1 && open[0] === "{" && next === "colon" && match[2] !== undefined) {
      const key = JSON.parse(match[2]) as string;
      if (keys.has(key)) duplicate ??= { offset, key };
      keys.add(key);
    }
    expect = next;
    position = token.lastIndex;
  }
  const rest = /[^ \t\n\r]/.exec(text.slice(position));
  if (rest !== null) return { error: { offset: position + rest.index, wrong: "something stands after the end of the JSON value" } };
  return duplicate === undefined ? {} : { duplicate };
}

/** What may follow a token, or undefined where the token may not stand here. */
function step(expect: Expect, match: RegExpExecArray, open: string[]): Expect | "end" | undefined {
  const [, mark, string] = match;
  const after = (): Expect | "end" => (open.length === 0 ? "end" : "comma");
  switch (expect) {
    case "colon":
      return mark === ":" ? "value" : undefined;
    case "key or }":
    case "key":
      if (string !== undefined) return "colon";
      if (mark !== "}" || expect === "key") return undefined;
      open.pop();
      return after();
    case "comma":
      if (mark === ",") return open.at(-1) === "{" ? "key" : "value";
      if (mark !== (open.at(-1) === "{" ? "}" : "]")) return undefined;
      open.pop();
      return after();
    default:
      if (mark === undefined) return after();
      if (mark === "]" && expect === "value or ]") {
        open.pop();
        return after();
      }
      if (mark !== "{" && mark !== "[") return undefined;
      open.push(mark);
      return mark === "{" ? "key or }" : "value or ]";
  }
}

const expected = (expect: Expect): string =>
  ({
    value: "a value",
    "value or ]": "a value or ]",
    key: "a key in double quotes",
    "key or }": "a key in double quotes or }",
    colon: "a colon",
    comma: "a comma or a closing bracket",
  })[expect];

const shown = (text: string, offset: number): string => JSON.stringify(text.slice(offset, offset + 12).split("\n")[0]);

function whatIsWrong(text: string, position: number, expect: Expect): { offset: number; wrong: string } {
  const rest = /[^ \t\n\r]/.exec(text.slice(position));
  const offset = rest === null ? text.length : position + rest.index;
  if (offset === text.length) return { offset, wrong: `the file ends where ${expected(expect)} should stand` };
  if (text[offset] === '"') return { offset, wrong: "a string begins here that does not end properly" };
  return { offset, wrong: `${shown(text, offset)} stands where ${expected(expect)} should` };
}
