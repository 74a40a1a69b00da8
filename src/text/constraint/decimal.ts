/** Numbers as digits, for automata that compare them as they are written. */

export interface Decimal {
  readonly negative: boolean;
  /** Without leading zeros; "0" where there is nothing before the point. */
  readonly whole: string;
  /** Without trailing zeros. */
  readonly fraction: string;
}

export function decimal(value: number): Decimal {
  const [mantissa, exponent = "0"] = String(Math.abs(value)).split("e");
  const [whole, fraction = ""] = mantissa!.split(".");
  const shift = Number(exponent);
  const digits = whole! + fraction;
  const point = whole!.length + shift;
  const padded = point <= 0 ? "0".repeat(1 - point) + digits : digits.padEnd(point, "0");
  const at = Math.max(1, point);
  return {
    negative: value < 0,
    whole: padded.slice(0, at).replace(/^0+(?=\d)/u, ""),
    fraction: padded.slice(at).replace(/0+$/u, ""),
  };
}
