/** Checks of options that people give: an unknown one is an error that names the nearest known. */
import { FrugalError, nearest } from "./error.ts";

/** @throws FRUGAL_BAD_ARGUMENT for a key of `options` that is not among `known`. */
export function checkOptions(call: string, options: object, known: readonly string[]): void {
  if (typeof options !== "object" || options === null)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${call}: the options are ${String(options)}; give an object, or nothing`);
  const signal = "signal" in options ? options.signal : undefined;
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${call}: signal is no AbortSignal; give one, or nothing`, { option: "signal" });
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    const near = nearest(key, known);
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${call}: unknown option ${JSON.stringify(key)}; ${near === undefined ? `the options are ${known.join(", ")}` : `did you mean ${near}?`}`,
      { option: key, ...(near === undefined ? {} : { nearest: near }) },
    );
  }
}

/** @throws FRUGAL_BAD_ARGUMENT where `value` is given but is no whole number from `low` to `high`. */
export function wholeNumber(call: string, name: string, value: unknown, low: number, high: number = Number.MAX_SAFE_INTEGER): void {
  if (value === undefined || (Number.isInteger(value) && (value as number) >= low && (value as number) <= high)) return;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${call}: ${name} is ${String(value)}; give a whole number from ${low}${high < Number.MAX_SAFE_INTEGER ? ` to ${high}` : " on"}`,
    {
      option: name,
      value: String(value),
    },
  );
}
