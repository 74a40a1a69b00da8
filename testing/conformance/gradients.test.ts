/** Every family's gradients against PyTorch's, on every backend of the list. */
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { createNativeBackend, instructionSets } from "../../src/backends/native/backend.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { fixtures } from "../families.ts";
import { compareGradients } from "../gradients.ts";

const sets = instructionSets();
const backends: readonly Backend[] = [
  createReferenceBackend(),
  ...("sets" in sets ? sets.sets : []).flatMap((instructionSet) => {
    const made = createNativeBackend({ threads: 2, instructionSet });
    return "backend" in made ? [{ ...made.backend, name: `native, ${instructionSet}` }] : [];
  }),
];

describe.each(backends)("$name", (backend) => {
  test.each(fixtures.filter(({ kind }) => kind === "huggingface"))("$name has the gradients that PyTorch finds", async (fixture) => {
    const { relative, tensor } = await compareGradients(backend, fixture);
    expect(relative, tensor).toBeLessThan(1e-4);
  });
});

/** The reference with a fault: one element of a weight's gradient is off by a thirtieth of the gradient's length. */
function faulty(weight: string): Backend {
  const reference = createReferenceBackend();
  return {
    ...reference,
    async load(...given) {
      const loaded = await reference.load(...given);
      return {
        ...loaded,
        async run(call) {
          const outputs = await loaded.run(call);
          const gradient = outputs[weight]!;
          gradient[3]! += 0.03 * Math.hypot(...gradient);
          return outputs;
        },
      };
    },
  };
}

test.each([
  ["llama-3", "layers.1.attention.key", "model.layers.1.self_attn.k_proj.weight"],
  ["phi-3", "layers.0.mlp.up", "model.layers.0.mlp.gate_up_proj.weight"],
  ["gpt-2", "layers.1.attention.value", "transformer.h.1.attn.c_attn.weight"],
  ["gemma-3", "layers.2.mlpNorm", "model.layers.2.pre_feedforward_layernorm.weight"],
])("one wrong element in %s, %s, shows", async (name, weight, tensor) => {
  const found = await compareGradients(faulty(weight), { name, kind: "huggingface" });
  expect(found.tensor).toBe(tensor);
  expect(found.relative).toBeGreaterThan(1e-3);
});
