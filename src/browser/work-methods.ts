/** Longer work that pages may ask the engine for: tuning the model that is loaded, and writing a model in another storage format. */
import { blobSource } from "../formats/web/blob.ts";
import type { FrugalModel } from "../serving/model.ts";
import type { Examples, TuneOptions } from "../techniques/tune.ts";
import { FrugalError } from "../tensor/error.ts";
import type { TuningTechnique } from "../training/technique.ts";
import type { Methods } from "./answerer.ts";
import { object, text } from "./arguments.ts";
import type { EngineSurroundings } from "./engine.ts";
import type { QuantizeRequest } from "./quantize-method.ts";
import { checkedSource, type SourceRecord } from "./source.ts";

/** Options that only make sense where there is a file system, or of a model that is not loaded. */
const absent = ["out", "resume", "startFrom", "backend", "threads", "hub", "onOpen", "parallel"];

export function workMethods(model: () => Promise<FrugalModel>, { open }: Pick<EngineSurroundings, "open">): Methods {
  return {
    async tune([examples, technique, options], { emit, signal }) {
      const given = object("tune", "the options", options) as TuneOptions;
      const other = absent.find((name) => name in given);
      if (other !== undefined)
        throw new FrugalError("FRUGAL_BAD_ARGUMENT", `tune: there is no option ${other} in a browser; leave it out`, { option: other });
      const { tune } = await import("../techniques/tune.ts");
      const evaluation = given.evaluation === undefined ? {} : { evaluation: sourcesOf("evaluation", given.evaluation) };
      const training = tune(await model(), sourcesOf("examples", examples), await made(technique), { ...given, ...evaluation, signal });
      for await (const progress of training) emit(progress);
      const { adapter, weights, ...result } = await training;
      const files = await adapter().catch((error: unknown) => {
        if (error instanceof FrugalError && error.code === "FRUGAL_UNSUPPORTED") return undefined;
        throw error;
      });
      return files === undefined ? { ...result, weights } : { ...result, files };
    },
    /** Of any model, not the one that is loaded. */
    async quantize([source, options, request], { emit, signal }) {
      const { quantizeFiles } = await import("./quantize-method.ts");
      const where = object("quantize", "the options", options);
      const wanted = object("quantize", "the options", request) as unknown as QuantizeRequest;
      const tell = (stage: string) => (done: number, total: number) => emit({ stage, done, total });
      const files = await open(checkedSource("quantize", source) satisfies SourceRecord, {
        ...where,
        signal,
        onDownload: tell("download"),
      });
      return quantizeFiles(files, wanted, { signal, onProgress: tell("weights") });
    },
  };
}

async function made(technique: unknown): Promise<TuningTechnique | undefined> {
  if (technique === undefined) return undefined;
  const { tuningTechnique } = await import("../techniques/index.ts");
  const { name, options } = object("tune", "the technique", technique);
  return tuningTechnique(text("tune", "the technique's name", name), object("tune", "the technique's options", options));
}

/** Files among examples as sources; what is wrong with the rest is said by who reads it. */
function sourcesOf(what: string, examples: unknown): Examples {
  const all: readonly unknown[] = Array.isArray(examples) ? examples : [examples];
  return all.map((each, index) => {
    if (each instanceof Blob) return blobSource(each instanceof File ? each.name : `${what} ${index + 1}`, each);
    if (typeof each === "string")
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `tune: ${what} are named by a path; give rows, or Files of rows`, { examples: what });
    return each as Exclude<Examples, string>[number];
  });
}
