/** Frequencies against numbers of the original implementation (transformers, modeling_rope_utils, f32), and against the rules themselves. */
import { describe, expect, test } from "vitest";
import { longropeMagnitude, ropeFrequencies, type RopeScaling, yarnMagnitude } from "./rope-frequencies.ts";

const near = (got: Float32Array, wanted: readonly number[]): void => {
  expect(got.length).toBe(wanted.length);
  wanted.forEach((value, i) => expect(Math.abs(got[i]! / value - 1)).toBeLessThan(1e-6));
};
const of = (scaling: RopeScaling, contextLength = 128, rotaryDim = 8, base = 1000): readonly number[] => [
  ...ropeFrequencies(rotaryDim, base, scaling, contextLength).frequencies,
];

const llama3: RopeScaling = { kind: "llama3", factor: 8, lowFactor: 1, highFactor: 4, original: 32 };
const yarn = { kind: "yarn", factor: 4, original: 64, betaFast: 4, betaSlow: 0.5, truncate: true, magnitude: yarnMagnitude(4) } as const;

describe("the original's numbers", () => {
  test("llama3", () => near(Float32Array.from(of(llama3)), [1, 0.0222284924, 0.00395284733, 0.000702926656]));
  test("dynamic", () =>
    near(Float32Array.from(of({ kind: "dynamic", factor: 3, original: 24 }, 37)), [1, 0.128911078, 0.0166180655, 0.00214225263]));
  test("yarn", () => {
    near(
      Float32Array.from(of(yarn, 128, 16)),
      [1, 0.421696514, 0.133370951, 0.0374947079, 0.00790569466, 0.00333380373, 0.00140585331, 0.000592843455],
    );
    near(
      Float32Array.from(of({ ...yarn, truncate: false }, 128, 16)),
      [1, 0.421696514, 0.127016172, 0.0302082673, 0.00790569466, 0.00333380373, 0.00140585331, 0.000592843455],
    );
  });
});

test("plain frequencies fall by powers of the base", () => {
  near(ropeFrequencies(4, 100, { kind: "none" }, 1).frequencies, [1, 0.1]);
});

test("linear divides all of them", () => {
  near(
    Float32Array.from(of({ kind: "linear", factor: 2.5 })),
    of({ kind: "none" }).map((f) => f / 2.5),
  );
});

test("dynamic changes nothing up to the original length, and the slowest by the factor in the limit", () => {
  const dynamic: RopeScaling = { kind: "dynamic", factor: 3, original: 24 };
  expect(of(dynamic, 24)).toEqual(of({ kind: "none" }));
  expect(of(dynamic, 48).at(-1)! / of({ kind: "none" }).at(-1)!).toBeCloseTo(1 / 4, 6);
});

test("longrope takes the long divisors beyond the original length", () => {
  const scaling: RopeScaling = { kind: "longrope", short: [1, 2, 4, 8], long: [2, 2, 2, 2], original: 24, magnitude: 1.25 };
  const plain = of({ kind: "none" });
  near(
    Float32Array.from(of(scaling, 24)),
    plain.map((f, i) => f / 2 ** i),
  );
  near(
    Float32Array.from(of(scaling, 25)),
    plain.map((f) => f / 2),
  );
  expect(ropeFrequencies(8, 1000, scaling, 1).magnitude).toBe(1.25);
});

test("magnitudes", () => {
  expect(yarnMagnitude(1)).toBe(1);
  expect(yarnMagnitude(4)).toBeCloseTo(1.1386294, 6);
  expect(yarnMagnitude(4, 0.5)).toBeCloseTo(1.0693147, 6);
  expect(longropeMagnitude(1, 24)).toBe(1);
  expect(longropeMagnitude(4, 24)).toBeCloseTo(1.1984192, 6);
});

test("every parameter of llama3 and yarn changes something", () => {
  for (const change of [{ factor: 2 }, { lowFactor: 2 }, { highFactor: 3 }, { original: 100 }])
    expect(of({ ...llama3, ...change }, 128, 32)).not.toEqual(of(llama3, 128, 32));
  for (const change of [{ factor: 2 }, { original: 32 }, { betaFast: 1 }, { betaSlow: 0.1 }, { truncate: false }])
    expect(of({ ...yarn, ...change }, 128, 16)).not.toEqual(of(yarn, 128, 16));
});
