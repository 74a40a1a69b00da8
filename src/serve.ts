/** `serve` of the public interface: the server is loaded when somebody serves. */
import type { RunningServer } from "./server/serve.ts";
import type { ServeOptions } from "./server/settings.ts";
import type { FrugalModel } from "./serving/model.ts";

/**
 * Serves a model, or several by name, over HTTP in the shape of OpenAI's API, until `close`. Rejects with FRUGAL_BAD_ARGUMENT for options
 * that are wrong or a port that is taken.
 * ```ts
 * import { load, serve } from "frugal";
 * await using model = await load("model.gguf");
 * await using server = await serve(model, { port: 8080 });
 * console.log(server.url);
 * ```
 */
export async function serve(
  models: FrugalModel | Readonly<Record<string, FrugalModel>>,
  options: ServeOptions = {},
): Promise<RunningServer> {
  const server = await import("./server/serve.ts");
  return server.serve(models, options);
}
