/** The contract of backends as tests: every op, whole graphs, weights in every storage format, the cache, and how calls end. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LoadedModel, Weights } from "../../src/backends/backend.ts";
import { allOps, createBuilder } from "../../src/ops/builder.ts";
import { cacheCases } from "./cache-cases.ts";
import { callCases } from "./call-cases.ts";
import { graphCases } from "./graph-cases.ts";
import { expectLike, type Implementation } from "./implementation.ts";
import { noSymbols, plainCache, runPlain } from "./plain.ts";
import { pageCases } from "./page-cases.ts";
import { type SampleCase, sampleCases } from "./samples.ts";
import { slotCases } from "./slot-cases.ts";
import { weightCases } from "./weight-cases.ts";

export function conformance(implementation: Implementation): void {
  const { name, unavailable } = implementation;
  if (unavailable !== undefined) {
    describe.skip(`${name} (${unavailable})`, () => it("is not run", () => {}));
    return;
  }
  describe(name, () => {
    describe.each(Object.keys(allOps))("%s", (op) => sampleTests(implementation, op));
    graphCases(implementation);
    weightCases(implementation);
    cacheCases(implementation);
    pageCases(implementation);
    slotCases(implementation);
    callCases(implementation);
  });
}

function sampleTests({ create, skips, tolerances }: Implementation, op: string): void {
  const samples = sampleCases.filter((sample) => sample.op.name === op);
  if (op in skips) {
    it(`is refused: ${skips[op]!}`, async () => {
      const loading = (await create()).load({ main: samples[0]!.graph }, new Map(), { caps: noSymbols, cachePages: 4 });
      await expect(loading).rejects.toMatchObject({ code: "FRUGAL_UNSUPPORTED", message: expect.stringContaining(op) as string });
    });
    return;
  }
  let model: LoadedModel;
  beforeAll(async () => {
    const graphs = Object.fromEntries(
      samples.flatMap((sample) => [
        [sample.name, sample.graph],
        [`${sample.name}, training`, { ...sample.graph, updates: scrap }],
      ]),
    );
    const weights: Weights = new Map([["scrap", { shape: [1], content: { values: async () => new Float32Array(1) } }]]);
    model = await (await create()).load(graphs, weights, { caps: noSymbols, cachePages: 4, cacheFormat: "F32" });
  });
  afterAll(() => model?.dispose());
  it.each(samples.map((sample) => [sample.name, sample] as const))("%s", async (_, sample) => {
    const outputs = await model.run({ program: sample.name, symbols: noSymbols, inputs: sample.sources });
    expectLike(outputs, plainOutputs(sample), tolerances[op] ?? 1e-5);
  });
  it.each(samples.map((sample) => [sample.name, sample] as const))("%s, in a program that updates weights", async (_, sample) => {
    const outputs = await model.run({ program: `${sample.name}, training`, symbols: noSymbols, inputs: sample.sources });
    expectLike(outputs, plainOutputs(sample), tolerances[op] ?? 1e-5);
  });
}

const scrap = new Map([["scrap", createBuilder().constant(Float32Array.of(1), [1])]]);

const plainOutputs = (sample: SampleCase): ReturnType<typeof runPlain> =>
  runPlain(sample.graph, { sources: sample.sources, cache: plainCache(4) });
