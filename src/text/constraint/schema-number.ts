/** What schemas say of a number, brought together. */
import { decimal } from "./decimal.ts";
import { mostFraction, mostWhole, type NumberBounds } from "./number-language.ts";
import type { SchemaDocument } from "./schema-document.ts";
import type { Alternative } from "./schema-flatten.ts";
import { unsupported } from "./schema-keywords.ts";
import { notInteger } from "./schema-negate.ts";

const largestStep = 2_000;

/** The narrowest bounds, or undefined where no number fulfils them. */
export function numberBounds(alternative: Alternative, document: SchemaDocument): NumberBounds | undefined {
  let [integer, broken] = [false, false];
  let low: NumberBounds["low"];
  let high: NumberBounds["high"];
  const steps: { readonly value: number; readonly path: string }[] = [];
  for (const { schema } of alternative) {
    const path = document.pathOf(schema);
    const number = (word: string): number | undefined => (Object.hasOwn(schema, word) ? (schema[word] as number) : undefined);
    const types = [schema["type"] ?? []].flat();
    if (types.includes("integer") && !types.includes("number")) integer = true;
    if (schema[notInteger] === true) broken = true;
    for (const [word, exclusive] of [
      ["minimum", false],
      ["exclusiveMinimum", true],
    ] as const) {
      const value = number(word);
      if (value === undefined) continue;
      checkDigits(value, word, path);
      if (low === undefined || value > low.value || (value === low.value && exclusive)) low = { value, exclusive };
    }
    for (const [word, exclusive] of [
      ["maximum", false],
      ["exclusiveMaximum", true],
    ] as const) {
      const value = number(word);
      if (value === undefined) continue;
      checkDigits(value, word, path);
      if (high === undefined || value < high.value || (value === high.value && exclusive)) high = { value, exclusive };
    }
    const step = number("multipleOf");
    if (step !== undefined) steps.push({ value: step, path });
  }
  if ((integer && broken) || (low !== undefined && high !== undefined && low.value > high.value)) return undefined;
  const places = Math.max(0, ...steps.map(({ value }) => decimal(value).fraction.length));
  let step = 1;
  for (const { value, path } of steps) {
    const { whole, fraction } = decimal(value);
    const scaled = Number(whole + fraction.padEnd(places, "0"));
    if (value <= 0 || places > 12 || scaled > largestStep)
      throw unsupported(
        "multipleOf",
        path,
        `is ${value}, which cannot be enforced; give a positive number of few digits, at most ${largestStep}`,
      );
    step = (step * scaled) / divisor(step, scaled);
    if (step > largestStep) throw unsupported("multipleOf", path, "and another have no common multiple that can be enforced; give one");
  }
  return {
    integer,
    ...(broken ? { broken } : {}),
    ...(low === undefined ? {} : { low }),
    ...(high === undefined ? {} : { high }),
    ...(steps.length === 0 ? {} : { step: { step, places } }),
  };
}

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

function checkDigits(value: number, word: string, path: string): void {
  const { whole, fraction } = decimal(value);
  if (whole.length < mostWhole && fraction.length < mostFraction) return;
  throw unsupported(
    word,
    path,
    `is ${value}, beyond the ${mostWhole - 1} digits before and ${mostFraction - 1} after the point that are compared; change it`,
  );
}
