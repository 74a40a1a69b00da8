/** frugal logits: what a model thinks comes next, as numbers. */
import { readLogits } from "../../serving/read-logits.ts";
import { adapterOptions, cacheOption, type Command, idsOption, model, UsageError } from "../command.ts";
import { withModel } from "../open-model.ts";
import { print, printLine } from "../output.ts";

export const logits: Command = {
  name: "logits",
  summary: "Prints the logits after token ids: of the last one, or of each.",
  arguments: [model],
  options: [idsOption, { name: "all", help: "the logits after every id, not only after the last" }, ...adapterOptions, cacheOption],
  async run(given) {
    const ids = given.numbers("ids");
    if (ids === undefined) throw new UsageError("logits: --ids is missing: --ids 1,2,3");
    const all = given.flag("all");
    const limits = { context: ids.length, sequences: 1, outputRows: all ? 32 : 1, wantsTokenizer: false, textFor: "logits" };
    await withModel(given, { ...limits, ...(given.flag("kv") ? {} : { cache: "F32" }) }, async (parts, signal) => {
      const rows: Float32Array[] = [];
      await readLogits(parts.engine!, ids, all ? 0 : ids.length - 1, (_, row) => rows.push(row.slice()), signal);
      if (!given.flag("json")) return printTop(rows);
      // Row by row: all of them can be longer than a string may be.
      await print(`{"vocabulary":${parts.model.vocabularySize},"rows":[`);
      for (const [i, row] of rows.entries()) await print(`${i > 0 ? "," : ""}${JSON.stringify(Array.from(row))}`);
      await print("]}\n");
    });
  },
};

async function printTop(rows: readonly Float32Array[]): Promise<void> {
  const { likeliest } = await import("../../serving/likeliest.ts");
  for (const row of rows)
    await printLine(
      likeliest(row, 10)
        .map((id) => `${id}: ${row[id]!.toFixed(4)}`)
        .join("  "),
    );
}
