/** LoRA over weights that are stored in few bits: QLoRA and LoftQ. */
import { expect, test } from "vitest";
import { contextOf, given, measure, openTrainable, packTexts } from "../../../testing/tuning.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import type { Weight } from "../../backends/backend.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import type { Trainable } from "../../training/trainable.ts";
import { loftq } from "./loftq.ts";
import { qlora } from "./qlora.ts";
import { bitsOf } from "./stored-as.ts";

const badArgument = (message: RegExp): unknown =>
  expect.objectContaining({ code: "FRUGAL_BAD_ARGUMENT", message: expect.stringMatching(message) });
const inputs = "query,key,value,attention.output,gate,up";
const query = "layers.0.attention.query";
const numbers = (model: Trainable, name: string): Promise<Float32Array> => contextOf(model.graph, model.weights).numbers(name);
const distance = (a: Float32Array, b: Float32Array): number => Math.hypot(...a.map((x, i) => x - b[i]!));
const formatOf = ({ content }: Weight): string => ("rows" in content ? content.rows[0]!.tensor.format.name : "made");

function rounded(values: Float32Array, format: string): Float32Array {
  const { blockSize, blockBytes, encode, decode } = formatByName(format);
  const bytes = new Uint8Array((values.length / blockSize) * blockBytes);
  encode!(values, bytes);
  const result = new Float32Array(values.length);
  decode(bytes, result);
  return result;
}

test("QLoRA stores linears as NF4, runs as their decoded numbers do, and learns through them", async () => {
  const { trainable, context, close } = await openTrainable("llama-2");
  const tuned = await qlora({ stored: inputs, targets: "query,down", rank: 2 }).apply(trainable, context);
  expect(formatOf(tuned.weights.get(query)!)).toBe("NF4");
  expect(bitsOf(tuned.weights.get(query)!)).toBe(4.5);
  expect(formatOf(tuned.weights.get("layers.0.mlp.down")!)).toBe("F32");
  expect(formatOf(tuned.weights.get("head")!)).toBe("F32");
  const weights = new Map(tuned.weights);
  for (const [name, weight] of tuned.weights)
    if (formatOf(weight) === "NF4") weights.set(name, given(weight.shape, rounded(await context.numbers(name), "NF4")));
  const text = packTexts([[5, 60, 33, 8, 90, 17]]);
  const [stored, decoded] = [
    await measure(createReferenceBackend(), tuned, text),
    await measure(createReferenceBackend(), { ...tuned, weights }, text),
  ];
  expect(stored.logits).toEqual(decoded.logits);
  expect(stored.gradients).toEqual(decoded.gradients);
  expect([...stored.gradients.keys()].toSorted()).toEqual([...tuned.trained].toSorted());
  expect(stored.gradients.get(`${query}.loraB`)!.some((x) => x !== 0)).toBe(true);
  await close();
});

test("double quantisation keeps fewer bytes and nearly the same numbers", async () => {
  const { trainable, context, close } = await openTrainable("llama-2");
  const [plain, double] = [
    await qlora({ stored: "query" }).apply(trainable, context),
    await qlora({ stored: "query", doubleQuantisation: true }).apply(trainable, context),
  ];
  const [W, once, twice] = [await context.numbers(query), await numbers(plain, query), await numbers(double, query)];
  expect(twice).not.toEqual(once);
  expect(distance(twice, once)).toBeLessThan(0.1 * distance(W, once));
  await close();
});

test("linears that take no more bits than the format stay as they are", async () => {
  const { trainable, context, close } = await openTrainable("llama-2");
  const first = await qlora({ stored: "query", format: "Q4_0" }).apply(trainable, context);
  const again = await qlora({ stored: "query,value", format: "Q8_0", targets: "key" }).apply(
    { ...trainable, weights: first.weights },
    context,
  );
  expect(formatOf(again.weights.get(query)!)).toBe("Q4_0");
  expect(formatOf(again.weights.get("layers.0.attention.value")!)).toBe("Q8_0");
  await close();
});

test("LoftQ begins nearer to the model than rounding alone, and nearer with rank and turns", async () => {
  const { trainable, context, close } = await openTrainable("llama-2");
  const W = await context.numbers(query);
  const errorOf = async (options: object): Promise<number> => {
    const model = await loftq({ targets: "query", format: "Q4_0", alpha: 6, ...options }).apply(trainable, context);
    const [kept, A, B] = [await numbers(model, query), await numbers(model, `${query}.loraA`), await numbers(model, `${query}.loraB`)];
    const rank = A.length / 64;
    const whole = kept.map((x, at) => {
      for (let k = 0; k < rank; k++) x += (6 / rank) * B[Math.floor(at / 64) * rank + k]! * A[k * 64 + (at % 64)]!;
      return x;
    });
    expect(formatOf(model.weights.get(query)!)).toBe("Q4_0");
    return distance(whole, W);
  };
  const rounding = distance(rounded(W, "Q4_0"), W);
  const [small, large, turns] = [await errorOf({ rank: 4 }), await errorOf({ rank: 16 }), await errorOf({ rank: 16, iterations: 5 })];
  expect(small).toBeLessThan(rounding);
  expect(large).toBeLessThan(small);
  expect(turns).toBeLessThan(large);
  await close();
});

test("LoftQ stores NF4 where nothing is said, trains A and B, and both can be trained from", async () => {
  const { trainable, context, close } = await openTrainable("llama-2");
  const model = await loftq({ targets: "query", rank: 2 }).apply(trainable, context);
  expect(formatOf(model.weights.get(query)!)).toBe("NF4");
  expect([...model.trained]).toHaveLength(4);
  const found = await measure(createReferenceBackend(), model, packTexts([[5, 60, 33, 8]]));
  expect(found.gradients.get(`${query}.loraA`)!.some((x) => x !== 0)).toBe(true);
  await close();
});

test("what cannot be stored is refused", async () => {
  const { trainable, context, close } = await openTrainable("llama-2");
  await expect(qlora().apply(trainable, context)).rejects.toThrow(
    badArgument(/NF4 stores 64 numbers together, but weight "layers.0.mlp.down" has rows of 96/),
  );
  await close();
  expect(() => qlora({ format: "Q4K" })).toThrow(
    expect.objectContaining({ code: "FRUGAL_UNSUPPORTED", message: expect.stringMatching(/did you mean Q4_K/) }),
  );
  expect(() => qlora({ format: "F64" })).toThrow(badArgument(/qlora: format F64 can be read but not written/));
  expect(() => qlora({ format: "Q4_0", doubleQuantisation: true })).toThrow(badArgument(/only NF4 is quantised doubly, not Q4_0/));
  expect(() => loftq({ doubleQuantisation: 1 } as object)).toThrow(badArgument(/doubleQuantisation is 1/));
  expect(() => loftq({ iterations: 0 })).toThrow(badArgument(/iterations is 0/));
  expect(() => qlora({ targts: "query" } as object)).toThrow(badArgument(/did you mean targets/));
});
