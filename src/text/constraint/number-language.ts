/** Numbers between bounds and multiples of a step, as a language of digits: bounds are compared digit by digit, remainders carried along. */
import { type CharacterSet, characterSet } from "./character-set.ts";
import { type Decimal, decimal } from "./decimal.ts";
import type { Effort } from "./expression.ts";
import { classesOf, explore, type Language, setsOf } from "./language.ts";

export interface NumberBounds {
  readonly integer: boolean;
  /** No whole number. */
  readonly broken?: boolean;
  readonly low?: { readonly value: number; readonly exclusive: boolean };
  readonly high?: { readonly value: number; readonly exclusive: boolean };
  /** The number is this many times a power of ten apart from others: `step / 10 ** places`. */
  readonly step?: { readonly step: number; readonly places: number };
}

export const mostWhole = 21;
export const mostFraction = 24;

type Phase = "start" | "minus" | "zero" | "whole" | "point" | "fraction";
interface Place {
  readonly phase: Phase;
  readonly negative: boolean;
  /** Digits before the point, and after it. */
  readonly whole: number;
  readonly fraction: number;
  /** How the digits so far compare with those of the bounds, were they of equal length. */
  readonly low: number;
  readonly high: number;
  readonly remainder: number;
  /** A digit that is not 0 stands after the point. */
  readonly broken: boolean;
}

export function numberLanguage(bounds: NumberBounds, work: Effort): Language {
  const { integer, step } = bounds;
  const [low, high] = [bounds.low && decimal(bounds.low.value), bounds.high && decimal(bounds.high.value)];
  const single = (c: string): CharacterSet => characterSet([[c.charCodeAt(0), c.charCodeAt(0)]]);
  const parts = classesOf(["-", ".", ..."0123456789"].map(single), work);
  const symbols = setsOf(parts).map((set) => (set.length === 2 && set[0] === set[1] ? String.fromCharCode(set[0]!) : ""));
  const compared = (before: number, digit: string, against: string | undefined): number =>
    before !== 0 ? before : Math.sign(Number(digit) - Number(against ?? "0"));
  // Steps as digits: beyond the step's own places a multiple has none.
  const places = step === undefined ? mostFraction : Math.min(step.places, mostFraction);

  const move = (from: Place, symbol: string): Place | undefined => {
    work.spend(4);
    if (symbol === "-") return from.phase === "start" ? { ...from, phase: "minus", negative: true } : undefined;
    if (symbol === ".")
      return !integer && places > 0 && (from.phase === "zero" || from.phase === "whole")
        ? { ...from, phase: "point", low: settled(from, from.low, low), high: settled(from, from.high, high) }
        : undefined;
    if (symbol === "" || from.phase === "zero") return undefined;
    const remainder = step === undefined ? 0 : (from.remainder * 10 + Number(symbol)) % step.step;
    if (from.phase === "point" || from.phase === "fraction") {
      if (from.fraction >= places) return undefined;
      return {
        ...from,
        phase: "fraction",
        fraction: from.fraction + 1,
        low: compared(from.low, symbol, low?.fraction[from.fraction]),
        high: compared(from.high, symbol, high?.fraction[from.fraction]),
        remainder,
        broken: from.broken || symbol !== "0",
      };
    }
    if (from.whole >= mostWhole) return undefined;
    return {
      ...from,
      phase: from.phase !== "whole" && symbol === "0" ? "zero" : "whole",
      whole: from.whole + 1,
      low: compared(from.low, symbol, low?.whole[from.whole]),
      high: compared(from.high, symbol, high?.whole[from.whole]),
      remainder,
    };
  };

  const ends = (place: Place): boolean => {
    const { phase, negative } = place;
    if (phase === "start" || phase === "minus" || phase === "point") return false;
    if (integer && negative && phase === "zero") return false;
    if (bounds.broken === true && !place.broken) return false;
    if (step !== undefined && (place.remainder * 10 ** (step.places - place.fraction)) % step.step !== 0) return false;
    const against = (bound: Decimal, soFar: number): number => {
      const fromDigits = phase === "fraction" ? soFar : settled(place, soFar, bound);
      const magnitude = fromDigits !== 0 ? fromDigits : bound.fraction.length > place.fraction ? -1 : 0;
      const isZero = bound.whole === "0" && bound.fraction === "";
      if (isZero) return negative ? -magnitude : magnitude;
      if (negative !== bound.negative) return negative ? -1 : 1;
      return negative ? -magnitude : magnitude;
    };
    if (low !== undefined) {
      const order = against(low, place.low);
      if (order < 0 || (order === 0 && bounds.low!.exclusive)) return false;
    }
    if (high !== undefined) {
      const order = against(high, place.high);
      if (order > 0 || (order === 0 && bounds.high!.exclusive)) return false;
    }
    return true;
  };

  const start: Place = { phase: "start", negative: false, whole: 0, fraction: 0, low: 0, high: 0, remainder: 0, broken: false };
  return explore(
    parts,
    start,
    (p) => `${p.phase}${p.negative ? "-" : "+"}${p.whole},${p.fraction},${p.low},${p.high},${p.remainder}${p.broken ? "." : ""}`,
    (from, symbol) => move(from, symbols[symbol]!),
    ends,
    work,
  );
}

/** How the whole part compares once its length is known: the longer is the larger. */
function settled(place: Place, soFar: number, bound: Decimal | undefined): number {
  if (bound === undefined) return 0;
  return place.whole !== bound.whole.length ? Math.sign(place.whole - bound.whole.length) : soFar;
}
