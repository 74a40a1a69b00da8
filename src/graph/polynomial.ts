/** Element counts and bytes as polynomials in the symbols: what the memory planner adds up, prints and evaluates. */
import { coefficientOf, type Dims, type Symbols, type SymbolName, symbolNames } from "./dim.ts";

/** Coefficients by monomial: "" is the constant, "T" the rows, "CT" rows times pages; letters in alphabetical order. */
export type Polynomial = ReadonlyMap<string, number>;

export const constant = (value: number): Polynomial => new Map(value === 0 ? [] : [["", value]]);

const combine = (terms: Iterable<readonly [string, number]>): Polynomial => {
  const sum = new Map<string, number>();
  for (const [monomial, value] of terms) sum.set(monomial, (sum.get(monomial) ?? 0) + value);
  return sum;
};

export const add = (a: Polynomial, b: Polynomial): Polynomial => combine([...a, ...b]);
export const scaled = (a: Polynomial, factor: number): Polynomial => new Map([...a].map(([m, v]) => [m, v * factor]));
const multiply = (a: Polynomial, b: Polynomial): Polynomial =>
  combine([...a].flatMap(([m, v]) => [...b].map(([n, w]) => [[...m, ...n].sort().join(""), v * w] as const)));

/** The largest coefficient of each monomial: an upper bound of both, as symbols are never negative. */
export const upperBound = (a: Polynomial, b: Polynomial): Polynomial =>
  new Map([...new Set([...a.keys(), ...b.keys()])].map((m) => [m, Math.max(a.get(m) ?? 0, b.get(m) ?? 0)]));

/** The number of elements of a shape. */
export const elements = (dims: Dims): Polynomial =>
  dims.reduce<Polynomial>((product, dim) => {
    const terms: [string, number][] = [["", typeof dim === "number" ? dim : dim.constant]];
    for (const s of symbolNames) terms.push([s, coefficientOf(dim, s)]);
    return multiply(product, new Map(terms.filter(([, v]) => v !== 0)));
  }, constant(1));

export const evaluatePolynomial = (p: Polynomial, symbols: Symbols): number =>
  [...p].reduce((sum, [monomial, value]) => sum + [...monomial].reduce((v, s) => v * symbols[s as SymbolName], value), 0);

/** "2048·T + 64" */
export const printPolynomial = (p: Polynomial): string =>
  [...p]
    .filter(([, v]) => v !== 0)
    .map(([m, v]) => (m === "" ? String(v) : `${v}·${[...m].join("·")}`))
    .join(" + ") || "0";
