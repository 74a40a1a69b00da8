/** Codes and random words of the native kernels are the reference's, bit for bit: at every border between two levels, and where a bit decides. */
import { describe, expect, it } from "vitest";
import type { Graph, Value } from "../../graph/value.ts";
import { dynamicLevels, midpoints } from "../../ops/block-codes.ts";
import { createBuilder } from "../../ops/builder.ts";
import type { Backend } from "../backend.ts";
import { createReferenceBackend } from "../reference/backend.ts";
import { createNativeBackend, instructionSets } from "./backend.ts";

const found = instructionSets();
const symbols = { T: 1, S: 1, C: 1, R: 1 };

async function outputOf(backend: Backend, graph: Graph, inputs: Record<string, Float32Array | Int32Array>): Promise<Int32Array> {
  const model = await backend.load({ main: graph }, new Map(), { caps: symbols, cachePages: 1 });
  const { y } = await model.run({ program: "main", symbols, inputs });
  const bits = new Int32Array(Float32Array.from(y!).buffer);
  await model.dispose();
  return bits;
}

const graphOf = (value: Value): Graph => ({ outputs: new Map([["y", value]]) });
const near = (x: number): number[] => {
  const bits = new Int32Array(Float32Array.of(x).buffer)[0]!;
  return [bits - 1, bits, bits + 1].map((each) => new Float32Array(Int32Array.of(each).buffer)[0]!);
};

/** Blocks that begin with a peak of 1: levels, borders, and their neighbours; then numbers of all magnitudes under other peaks. */
function numbersWith(signed: boolean): Float32Array {
  const levels = dynamicLevels(signed);
  const exact = [...levels, ...midpoints(levels)].filter((x) => Math.abs(x) > 1e-30 && Math.abs(x) <= 1).flatMap(near);
  const blocks = Array.from({ length: Math.ceil(exact.length / 255) }, (_, i) => [1, ...exact.slice(255 * i, 255 * (i + 1))]);
  while (blocks.at(-1)!.length < 256) blocks.at(-1)!.push(0, -0);
  const others = Array.from({ length: 4000 }, (_, i) => Math.sin(i * i) * 10 ** ((i % 29) / 4 - 5) * (i < 2000 ? 1 : 3e-7));
  return Float32Array.from([...blocks.flatMap((block) => block.slice(0, 256)), ...others]);
}

describe.skipIf("reason" in found).each("reason" in found ? [] : found.sets)("%s", (instructionSet) => {
  const native = (): Backend => {
    const made = createNativeBackend({ threads: 2, instructionSet });
    if ("reason" in made) throw new Error(made.reason);
    return made.backend;
  };

  it.each([true, false])("codes and their numbers, with a sign: %s", async (signed) => {
    const x = numbersWith(signed);
    const b = createBuilder();
    const quantize = graphOf(b.blockQuantize(b.input("x", { shape: [x.length], type: "f32" }), { signed }));
    const codes = await outputOf(createReferenceBackend(), quantize, { x });
    expect(await outputOf(native(), quantize, { x })).toEqual(codes);
    const stored = new Float32Array(codes.buffer);
    const back = graphOf(
      b.blockDequantize(b.input("codes", { shape: [codes.length / 66, 66], type: "f32" }), { shape: [x.length], signed }),
    );
    expect(await outputOf(native(), back, { codes: stored })).toEqual(await outputOf(createReferenceBackend(), back, { codes: stored }));
  });

  it.each([0, 7, 2 ** 32 - 1])("uniform noise of stream %d", async (stream) => {
    const b = createBuilder();
    const graph = graphOf(b.noise(b.input("seed", { shape: [2], type: "i32" }), { shape: [37, 61], kind: "uniform", stream }));
    const inputs = { seed: Int32Array.of(-5, 2 ** 31 - 1) };
    expect(await outputOf(native(), graph, inputs)).toEqual(await outputOf(createReferenceBackend(), graph, inputs));
  });

  it("normal noise within 2e-6 of the reference", async () => {
    const b = createBuilder();
    const graph = graphOf(b.noise(b.input("seed", { shape: [2], type: "i32" }), { shape: [20011], kind: "normal", stream: 3 }));
    const inputs = { seed: Int32Array.of(12, -9) };
    const made = new Float32Array((await outputOf(native(), graph, inputs)).buffer);
    const wanted = new Float32Array((await outputOf(createReferenceBackend(), graph, inputs)).buffer);
    const worst = made.reduce((most, x, i) => Math.max(most, Math.abs(x - wanted[i]!)), 0);
    expect(worst).toBeLessThan(2e-6);
  });
});
