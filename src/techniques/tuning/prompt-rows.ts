/** Learned rows in place of embeddings: what prompt tuning and P-tuning share. */
import { type Graph, sourceName, type Value, valuesOf } from "../../graph/value.ts";
import { rewrite } from "../../graph/rewrite.ts";
import { createBuilder } from "../../ops/builder.ts";
import type { Builder } from "../../ops/op.ts";
import { FrugalError } from "../../tensor/error.ts";
import { usersOf } from "./linear-ends.ts";
import { putRows, virtualRows } from "./virtual-rows.ts";

/** The graph with rows of a table [P, width] in place of the embeddings of virtual rows. */
export function withPrompt(graph: Graph, count: number, technique: string, table: (b: Builder, width: number) => Value): Graph {
  const embedding = embeddingOf(graph);
  const b = createBuilder();
  const rows = virtualRows(b, graph, count, technique);
  return rewrite(graph, (value, original) =>
    original === embedding ? putRows(b, value, table(b, value.shape[1] as number), rows) : value,
  );
}

/** What embeddings are multiplied by before the layers see them; 1 in most families. */
export function embeddingScale(graph: Graph): number {
  const users = usersOf(valuesOf(graph)).get(embeddingOf(graph)) ?? [];
  const by = users.length === 1 ? users[0]!.attributes["by"] : undefined;
  return typeof by === "number" ? by : 1;
}

/** The value that looks tokens up. */
export function embeddingOf(graph: Graph): Value {
  const found = valuesOf(graph).find(
    ({ inputs: [table, ids] }) => ids?.op === "input" && sourceName(ids) === "tokens" && table?.op === "weight",
  );
  if (found === undefined)
    throw new FrugalError("FRUGAL_UNSUPPORTED", "prompt tuning: the model looks no tokens up in a table; take a model that reads text");
  return found;
}
