/** Sizes that may depend on the four run-time symbols. A size is affine in them; a buffer's element count is a polynomial (see polynomial.ts). */

/** T rows (tokens), S sequences, C pages a sequence may have, R rows whose results are read. */
export type SymbolName = "T" | "S" | "C" | "R";
export const symbolNames: readonly SymbolName[] = ["T", "S", "C", "R"];

/** What the symbols are worth in one run. */
export type Symbols = Readonly<Record<SymbolName, number>>;

/** constant + T·rows + S·sequences + ...; only non-zero coefficients are present. */
export interface Affine {
  readonly constant: number;
  readonly coefficients: Readonly<Partial<Record<SymbolName, number>>>;
}

/** A plain number where nothing depends on a symbol. */
export type Dim = number | Affine;
export type Dims = readonly Dim[];

export const symbol = (name: SymbolName): Dim => ({ constant: 0, coefficients: { [name]: 1 } });

const constantOf = (dim: Dim): number => (typeof dim === "number" ? dim : dim.constant);
export const coefficientOf = (dim: Dim, name: SymbolName): number => (typeof dim === "number" ? 0 : (dim.coefficients[name] ?? 0));

function affine(constant: number, coefficient: (name: SymbolName) => number): Dim {
  const coefficients: Partial<Record<SymbolName, number>> = {};
  for (const name of symbolNames) {
    const value = coefficient(name);
    if (value !== 0) coefficients[name] = value;
  }
  return Object.keys(coefficients).length === 0 ? constant : { constant, coefficients };
}

export const plus = (a: Dim, b: Dim): Dim => affine(constantOf(a) + constantOf(b), (s) => coefficientOf(a, s) + coefficientOf(b, s));
export const times = (a: Dim, factor: number): Dim => affine(constantOf(a) * factor, (s) => coefficientOf(a, s) * factor);
export const sameDim = (a: Dim, b: Dim): boolean =>
  constantOf(a) === constantOf(b) && symbolNames.every((s) => coefficientOf(a, s) === coefficientOf(b, s));
export const sameDims = (a: Dims, b: Dims): boolean => a.length === b.length && a.every((dim, i) => sameDim(dim, b[i]!));

/** What the size is in a run. */
export const evaluate = (dim: Dim, symbols: Symbols): number =>
  typeof dim === "number" ? dim : symbolNames.reduce((sum, s) => sum + coefficientOf(dim, s) * symbols[s], dim.constant);

/** "2T+1" */
export function printDim(dim: Dim): string {
  if (typeof dim === "number") return String(dim);
  const terms = symbolNames
    .filter((s) => coefficientOf(dim, s) !== 0)
    .map((s) => `${coefficientOf(dim, s) === 1 ? "" : coefficientOf(dim, s)}${s}`);
  if (dim.constant !== 0) terms.push(String(dim.constant));
  return terms.join("+");
}
export const printDims = (dims: Dims): string => `[${dims.map(printDim).join(", ")}]`;
