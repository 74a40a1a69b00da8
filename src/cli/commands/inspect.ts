/** frugal inspect: what a model file holds and needs. Weights are not read. */
import { openModel } from "../../models/index.ts";
import { printBytes } from "../../tensor/byte-size.ts";
import { type Amount, type Inspection, inspectModel } from "../../serving/inspect.ts";
import { openCheckpoint } from "../../models/open-checkpoint.ts";
import { type Command, model } from "../command.ts";
import { hubSettings } from "../hub-settings.ts";
import { interruptible } from "../open-model.ts";
import { print, printJson } from "../output.ts";

export const inspect: Command = {
  name: "inspect",
  summary: "Prints sizes by format and by part, the configuration, and what each context length needs.",
  arguments: [model],
  options: [],
  run: (given) =>
    interruptible(async (signal) => {
      const opened = await openCheckpoint(given.arguments[0]!, { signal, hub: hubSettings() });
      try {
        const found = inspectModel(opened, openModel(opened.checkpoint));
        await (given.flag("json") ? printJson(found) : print(describe(found)));
      } finally {
        await opened.close();
      }
    }),
};

function describe(found: Inspection): string {
  const lines = (rows: readonly (readonly [string, string])[]): string =>
    rows.map(([left, right]) => `  ${left.padEnd(18)}${right}\n`).join("");
  const amounts = (record: Readonly<Record<string, Amount>>): string =>
    lines(
      Object.entries(record)
        .toSorted(([, a], [, b]) => b.bytes - a.bytes)
        .map(([key, { tensors, parameters, bytes }]) => [
          key,
          `${printBytes(bytes).padStart(8)}  ${(parameters / 1e6).toFixed(1)} M numbers in ${tensors} tensors`,
        ]),
    );
  return [
    `${found.name}: ${found.family}, ${(found.parameters / 1e6).toFixed(1)} M parameters, ${printBytes(found.bytes)}\n`,
    `formats\n${amounts(found.formats)}`,
    `parts\n${amounts(found.parts)}`,
    `configuration\n${lines(Object.entries(found.config).map(([key, value]) => [key, String(value)]))}`,
    ...(found.cache.length === 0
      ? []
      : [
          `keys and values of one text, in F16\n${lines(found.cache.map(({ context, bytes }) => [`${context} tokens`, printBytes(bytes)]))}`,
        ]),
  ].join("\n");
}
