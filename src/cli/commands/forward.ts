/** frugal forward: a model on raw named tensors. */
import { openFile } from "../../formats/files.ts";
import { readSafetensors } from "../../formats/safetensors.ts";
import { writeSafetensors } from "../../formats/safetensors-write.ts";
import { forward as runForward, forwardLoading } from "../../serving/forward.ts";
import type { NamedTensor } from "../../serving/forward-rows.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import { decodeTensor } from "../../tensor/stored.ts";
import { adapterOptions, cacheOption, type Command, model, UsageError } from "../command.ts";
import { withModel } from "../open-model.ts";
import { printJson, printLine } from "../output.ts";

export const forward: Command = {
  name: "forward",
  summary: "Runs a model on the tensors of a safetensors file and writes what it gives to another, under the names of transformers.",
  arguments: [model],
  options: [
    {
      name: "inputs",
      value: { label: "FILE", kind: "text" },
      help: "input_ids, and attention_mask, token_type_ids and position_ids where wanted",
    },
    { name: "out", value: { label: "FILE", kind: "text" }, help: "where logits, last_hidden_state, pooler_output are written" },
    ...adapterOptions,
    cacheOption,
  ],
  async run(given) {
    const [from, to] = [given.text("inputs"), given.text("out")];
    if (from === undefined || to === undefined) throw new UsageError(`forward: --${from === undefined ? "inputs" : "out"} FILE is missing`);
    const inputs = await readInputs(from);
    await withModel(given, forwardLoading(inputs), async (parts, signal) => {
      const outputs = await runForward(parts, inputs, signal);
      const bytesOf = (data: Float32Array): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      await writeSafetensors(
        to,
        [...outputs].map(([name, { shape, data }]) => ({ name, shape, format: formatByName("F32"), bytes: bytesOf(data) })),
        new Map(),
        { signal },
      );
      if (given.flag("json")) return printJson({ outputs: Object.fromEntries([...outputs].map(([name, { shape }]) => [name, shape])) });
      for (const [name, { shape }] of outputs) await printLine(`${name} [${shape.join(", ")}]`);
    });
  },
};

async function readInputs(path: string): Promise<ReadonlyMap<string, NamedTensor>> {
  const file = await readSafetensors(await openFile(path));
  try {
    const inputs = new Map<string, NamedTensor>();
    for (const [name, tensor] of file.tensors) inputs.set(name, { shape: tensor.shape, data: await decodeTensor(tensor) });
    return inputs;
  } finally {
    await file.close();
  }
}
