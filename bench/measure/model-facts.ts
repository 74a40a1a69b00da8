/** What a token costs, from what `frugal inspect` says of a file. */

interface Amount {
  readonly parameters: number;
  readonly bytes: number;
}

/** What is used of `frugal inspect --json`. */
export interface Inspection {
  readonly name: string;
  readonly parameters: number;
  readonly bytes: number;
  readonly formats: Readonly<Record<string, Amount>>;
  readonly parts: Readonly<Record<string, Amount>>;
  readonly config: Readonly<Record<string, string | number | boolean>>;
}

export interface ModelFacts {
  readonly name: string;
  readonly fileBytes: number;
  /** Weights that one decoded token reads. */
  readonly bytesPerToken: number;
  /** Numbers that one token of a prompt is multiplied with: all but embeddings and output head. */
  readonly bodyParameters: number;
  /** The one format of all matrices; vectors are kept as F32 anyway. */
  readonly format: string | undefined;
  /** All of its matrices are plain numbers, so that products are sums of floats. */
  readonly isFloat: boolean;
}

const floats: readonly string[] = ["F32", "F16", "BF16"];
const none: Amount = { parameters: 0, bytes: 0 };

export function modelFacts(inspection: Inspection, fileBytes: number): ModelFacts {
  const { parts, formats, config } = inspection;
  const [embeddings, output, experts] = [parts["embeddings"] ?? none, parts["output"] ?? none, parts["experts"] ?? none];
  // Of embeddings a token reads one row, unless they are the output head too.
  const idleEmbeddings = config["tiedHead"] === true ? 0 : embeddings.bytes;
  const [all, used] = [Number(config["experts"] ?? 0), Number(config["activeExperts"] ?? 0)];
  const idleExperts = all > 0 && used > 0 ? 1 - used / all : 0;
  const matrixFormats = Object.keys(formats).filter((name) => name !== "F32");
  return {
    name: inspection.name,
    fileBytes,
    bytesPerToken: inspection.bytes - idleEmbeddings - idleExperts * experts.bytes,
    bodyParameters: inspection.parameters - embeddings.parameters - output.parameters - idleExperts * experts.parameters,
    format: matrixFormats.length > 1 ? undefined : (matrixFormats[0] ?? "F32"),
    isFloat: Object.keys(formats).every((name) => floats.includes(name)),
  };
}
