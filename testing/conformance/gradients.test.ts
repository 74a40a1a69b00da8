/** Every family's gradients against PyTorch's, on every backend of the list. */
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { coreBackends } from "../backends.ts";
import { fixtures } from "../families.ts";
import { compareGradients } from "../gradients.ts";

const reference = { name: "reference", create: async (): Promise<Backend> => createReferenceBackend() };

describe.each([reference, ...coreBackends])("$name", ({ create }) => {
  const backend = create(2);
  test.each(fixtures.filter(({ kind }) => kind === "huggingface"))("$name has the gradients that PyTorch finds", async (fixture) => {
    const { relative, tensor } = await compareGradients(await backend, fixture);
    expect(relative, tensor).toBeLessThan(1e-4);
  });
});
