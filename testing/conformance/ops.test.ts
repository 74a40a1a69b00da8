/** What every op must keep, in double precision: gradients, decompositions, attributes, costs. Backends are in backends.test.ts. */
import { describe, expect, it } from "vitest";
import { type Attributes, inOrder } from "../../src/graph/value.ts";
import { verifyGraph } from "../../src/graph/verify.ts";
import { allOps, createBuilder, opRules } from "../../src/ops/builder.ts";
import type { AnyOp, Cost, Tensor } from "../../src/ops/op.ts";
import { FrugalError } from "../../src/tensor/error.ts";
import { size } from "../../src/tensor/shape.ts";
import { decompose } from "../../src/transforms/decompose.ts";
import { differentiate } from "../../src/transforms/differentiate.ts";
import { numbersOf } from "./numbers.ts";
import { plainCache, runPlain } from "./plain.ts";
import { type SampleCase, sampleCase, sampleCases } from "./samples.ts";

const ops = Object.entries(allOps);
const fused = sampleCases.filter(({ op }) => op.decompose !== undefined);
const smooth = sampleCases.filter(({ op }) => op.gradient !== "none" && op.gradient !== "unsupported");
const run = (sample: SampleCase): Tensor => runPlain(sample.graph, { sources: sample.sources, cache: plainCache(4) })["y"]!;

describe.each(ops)("%s", (name, op) => {
  it("is listed under its own name, with samples, one of them of odd sizes", () => {
    expect(op.name).toBe(name);
    expect(op.samples.length).toBeGreaterThan(1);
    expect(
      op.samples.some(
        ({ shapes }) =>
          (shapes as readonly (readonly number[])[]).some((shape) => shape.some((n) => n % 2 === 1 && n > 1)) ||
          op.inputTypes?.[0] === "i32",
      ),
    ).toBe(true);
  });

  it("costs what can be counted", () => {
    op.samples.forEach((sample, i) => {
      const cost = op.cost(sample.shapes as never, sample.attributes);
      for (const number of Object.values(cost) as number[]) expect(Number.isInteger(number) && number >= 0).toBe(true);
      if (!op.sharesInput) expect(cost.bytesMoved).toBeGreaterThanOrEqual(4 * size(sampleCase(op, i).result.shape as number[]));
    });
  });

  it.each(Object.keys(op.attributes).filter((attribute) => !(attribute in unseenAttributes(op))))(
    "attribute %s changes the result",
    (attribute) => {
      const values = new Map(op.samples.map(({ attributes }) => [JSON.stringify(attributes[attribute]), attributes[attribute]]));
      expect(values.size, "the samples hold one value only").toBeGreaterThan(1);
      const alone = op.samples.flatMap((_, index) => [...values.values()].map((value) => effect(op, index, { [attribute]: value })));
      if (alone.includes("changed")) return;
      // Shapes tie it to other attributes: then all of another sample of these shapes must change together, and it alone be refused.
      expect(alone).toContain("refused");
      const together = op.samples.flatMap((sample, index) =>
        op.samples
          .filter(
            ({ shapes, attributes }) =>
              JSON.stringify(shapes) === JSON.stringify(sample.shapes) && attributes[attribute] !== sample.attributes[attribute],
          )
          .map(({ attributes }) => effect(op, index, attributes)),
      );
      expect(together).toContain("changed");
    },
  );
});

/** What these attributes do to a sample. */
function effect(op: AnyOp, index: number, attributes: Attributes): "changed" | "same" | "refused" {
  const before = sampleCase(op, index);
  const a = run(before);
  let b: Tensor;
  try {
    b = run(sampleCase(op, index, { ...before.attributes, ...attributes }));
  } catch (error) {
    expect(error).toBeInstanceOf(FrugalError);
    return "refused";
  }
  const differs = (v: number, i: number): boolean => Math.abs(v - b.data[i]!) > 1e-6 || Number.isFinite(v) !== Number.isFinite(b.data[i]!);
  return a.shape.join() !== b.shape.join() || [...a.data].some(differs) ? "changed" : "same";
}

/** Attributes whose effect one run cannot show. */
const unseenAttributes = (op: AnyOp): Record<string, string> =>
  op.keeps === undefined ? {} : { layer: "two runs show it: cache-cases.ts" };

it("knows what a matrix product costs", () => {
  const cost = allOps["matmul"]!.cost(
    [
      [3, 5],
      [7, 5],
    ] as never,
    {},
  );
  expect(cost).toEqual({ flops: 2 * 3 * 5 * 7, bytesMoved: 4 * (15 + 35 + 21) } satisfies Cost);
});

describe("gradients equal central finite differences", () => {
  it.each(smooth.map((sample) => [sample.name, sample] as const))("%s", (_, sample) => {
    const b = createBuilder();
    const length = size(sample.result.shape as number[]);
    const seed = b.input("seed", { shape: sample.result.shape, type: "f32" });
    const sources = { ...sample.sources, seed: numbersOf("normal", length, "f32", 77) };
    const wrt = sample.inputs.filter(({ type }) => type === "f32");
    const gradients = differentiate(sample.result, wrt, { seed });
    const graph = { outputs: new Map(gradients.map((gradient, i) => [String(wrt[i]!.attributes["name"]), gradient])) };
    verifyGraph(graph, opRules);
    const found = runPlain(graph, { sources });

    for (const [name, gradient] of Object.entries(found)) {
      const numbers = Float64Array.from(sources[name as keyof typeof sources]!);
      const loss = (): number => {
        const y = runPlain(sample.graph, { sources: { ...sources, [name]: numbers } })["y"]!.data;
        return [...y].reduce((sum, v, i) => sum + v * sources.seed[i]!, 0);
      };
      const every = Math.ceil(numbers.length / 40);
      for (let i = 0; i < numbers.length; i += every) {
        const [kept, step] = [numbers[i]!, 1e-5];
        numbers[i] = kept + step;
        const above = loss();
        numbers[i] = kept - step;
        const slope = (above - loss()) / (2 * step);
        numbers[i] = kept;
        expect(Math.abs(gradient.data[i]! - slope), `${name}[${i}]: ${gradient.data[i]} and ${slope}`).toBeLessThan(
          1e-6 * Math.max(1, Math.abs(slope)),
        );
      }
    }
  });
});

describe("decompositions equal the fused op", () => {
  it.each(fused.map((sample) => [sample.name, sample] as const))("%s", (_, sample) => {
    const graph = decompose(sample.graph);
    verifyGraph(graph, opRules);
    expect(inOrder(graph.outputs.values()).some(({ op }) => allOps[op]?.decompose !== undefined)).toBe(false);
    const [whole, parts] = [run(sample), runPlain(graph, { sources: sample.sources })["y"]!];
    expect(parts.shape).toEqual(whole.shape);
    whole.data.forEach((v, i) => expect(Math.abs(v - parts.data[i]!)).toBeLessThan(1e-11 * Math.max(1, Math.abs(v))));
  });
});
