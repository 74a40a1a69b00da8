/** A backend as the suite is given it, and how its results are compared with the plain reference. */
import { expect } from "vitest";
import type { Backend, Outputs } from "../../src/backends/backend.ts";

export interface Implementation {
  readonly name: string;
  readonly create: () => Promise<Backend>;
  /** Why it cannot run here at all: everything is skipped, with the reason. */
  readonly unavailable?: string | undefined;
  /** By op: why there is no kernel of it. Such an op must be refused with FRUGAL_UNSUPPORTED. */
  readonly skips: Readonly<Record<string, string>>;
  /** Worst difference from the plain reference in double precision, relative to numbers of at least 1. By op where not the usual 1e-5. */
  readonly tolerances: Readonly<Record<string, number>>;
  /** Of products with weights in this format, relative to the root mean square of the result: kernels may round the other factor. */
  readonly weightTolerance: (format: string) => number;
  /** Of attention over the cache kept in F32; 1e-5 where it is left out. */
  readonly cacheTolerance?: number;
}

/** Whole numbers exactly, others within the tolerance; infinities where the other has them. */
export function expectLike(
  found: Outputs,
  wanted: Readonly<Record<string, { readonly data: ArrayLike<number> }>>,
  tolerance: number,
): void {
  expect(Object.keys(found).sort()).toEqual(Object.keys(wanted).sort());
  for (const [name, { data }] of Object.entries(wanted)) {
    const numbers = found[name]!;
    expect(numbers.length, name).toBe(data.length);
    expect(numbers instanceof Int32Array, name).toBe(data instanceof Int32Array);
    for (let i = 0; i < data.length; i++) {
      const [a, b] = [numbers[i]!, data[i]!];
      const near = a === b || Math.abs(a - b) <= (data instanceof Int32Array ? 0 : tolerance) * Math.max(1, Math.abs(b));
      if (!near) expect.fail(`${name}[${i}]: got ${a}, the reference has ${b}`);
    }
  }
}
