/** How sentence-transformers turns hidden states into one embedding: `modules.json` and the configuration of its pooling module. */
import { FrugalError, nearest } from "../tensor/error.ts";
import { type Folder, readFileIn } from "./folder.ts";
import { isJsonObject, parseJson, parseJsonObject } from "./json.ts";

export interface Pooling {
  readonly mode: "cls" | "mean" | "max" | "last";
  /** Divide by the Euclidean norm afterwards. */
  readonly normalize: boolean;
}

const LIMIT = 1 << 20;

const modes = new Map<string, Pooling["mode"]>([
  ["pooling_mode_cls_token", "cls"],
  ["pooling_mode_mean_tokens", "mean"],
  ["pooling_mode_max_tokens", "max"],
  ["pooling_mode_lasttoken", "last"],
]);

/** The pooling of a directory; undefined where it has no `modules.json`. Rejects with FRUGAL_UNSUPPORTED for modules and modes not known. */
export async function readPooling(folder: Folder): Promise<Pooling | undefined> {
  if (!(await folder.has("modules.json"))) return undefined;
  const path = folder.at("modules.json");
  const modules = parseJson(path, await readFileIn(folder, "modules.json", LIMIT));
  if (!Array.isArray(modules)) throw bad(path, "is not a list of modules");
  let mode: Pooling["mode"] | undefined;
  let normalize = false;
  for (const module of modules as unknown[]) {
    if (!isJsonObject(module) || typeof module["type"] !== "string") throw bad(path, "has a module without a type");
    const type = module["type"].split(".").at(-1)!;
    if (type === "Pooling") mode = await readMode(folder, path, module["path"]);
    else if (type === "Normalize") normalize = true;
    else if (type !== "Transformer")
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        `${path}: module ${module["type"]} is not known (Transformer, Pooling and Normalize are); use a model without it`,
        {
          module: module["type"],
        },
      );
  }
  return mode === undefined ? undefined : { mode, normalize };
}

const bad = (path: string, wrong: string): FrugalError => new FrugalError("FRUGAL_BAD_FILE", `${path}: ${wrong}; fetch it again`, {});

async function readMode(folder: Folder, modulesPath: string, inner: unknown): Promise<Pooling["mode"]> {
  if (typeof inner !== "string" || !/^[\w-]+$/.test(inner))
    throw bad(modulesPath, `has the pooling module in ${JSON.stringify(inner)}, not a folder beside it`);
  const file = `${inner}/config.json`;
  const path = folder.at(file);
  const config = parseJsonObject(path, await readFileIn(folder, file, LIMIT));
  const chosen = Object.keys(config).filter((key) => key.startsWith("pooling_mode_") && config[key] === true);
  const [key] = chosen;
  const mode = key === undefined ? undefined : modes.get(key);
  if (chosen.length === 1 && mode !== undefined) return mode;
  const near = key === undefined ? undefined : nearest(key, modes.keys());
  throw new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `${path}: asks for ${chosen.join(" and ") || "no pooling"}; exactly one of ${[...modes.keys()].join(", ")} is supported${near === undefined ? "" : ` (nearest: ${near})`}`,
    {},
  );
}
