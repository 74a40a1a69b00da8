/** What schemas say of a string, as the strings that fulfil all of it. */
import { type Expression, never, sequence, text } from "./expression.ts";
import { isNameOfPattern } from "./formats.ts";
import { jsonString } from "./json-expressions.ts";
import { combine, isEmpty, type Language, ofLength, ofTexts } from "./language.ts";
import { everyText } from "./pattern-language.ts";
import type { SchemaDocument } from "./schema-document.ts";
import type { Alternative } from "./schema-flatten.ts";
import { notFormat, notPattern, notValues } from "./schema-negate.ts";

interface Strings {
  readonly least: number;
  readonly most: number;
  /** What patterns, formats and exclusions leave, or undefined where they say nothing. */
  readonly language: Language | undefined;
}

function strings(alternative: Alternative, document: SchemaDocument): Strings {
  const { work } = document;
  let [least, most] = [0, Infinity];
  let language: Language | undefined;
  const both = (other: Language): void => {
    language = language === undefined ? other : combine(language, other, false, work);
  };
  const without = (other: Language): void => {
    language = combine(language ?? everyText(work), other, true, work);
  };
  for (const { schema } of alternative) {
    const path = document.pathOf(schema);
    const of = <T>(word: string, use: (value: T) => unknown): void => {
      if (Object.hasOwn(schema, word)) use(schema[word] as T);
    };
    of<number>("minLength", (count) => (least = Math.max(least, count)));
    of<number>("maxLength", (count) => (most = Math.min(most, count)));
    of<string>("pattern", (source) => both(document.pattern(source)));
    of<string>("format", (name) => isNameOfPattern(name, schema) || both(document.format(name, path)));
    of<string>(notPattern, (source) => without(document.pattern(source)));
    of<string>(notFormat, (name) => without(document.format(name, path)));
    of<readonly unknown[]>(notValues, (values) => {
      const texts = values.filter((value) => typeof value === "string");
      if (texts.length > 0) without(ofTexts(texts, work));
    });
  }
  return { least, most, language };
}

/** All strings that the schemas allow, as a language: for the keys of objects. Undefined where they say nothing. */
export function stringLanguage(alternative: Alternative, document: SchemaDocument): Language | undefined {
  const { least, most, language } = strings(alternative, document);
  if (least === 0 && most === Infinity) return language;
  const lengths = ofLength(least, Math.max(least - 1, most), document.work);
  return language === undefined ? lengths : combine(language, lengths, false, document.work);
}

export function stringExpression(alternative: Alternative, document: SchemaDocument): Expression {
  const { least, most, language } = strings(alternative, document);
  if (least > most) return never;
  if (language === undefined) return jsonString(least, most);
  const limited = stringLanguage(alternative, document)!;
  return isEmpty(limited) ? never : quoted(limited);
}

export const quoted = (language: Language): Expression => sequence(text('"'), { kind: "language", language, spell: "json" }, text('"'));
