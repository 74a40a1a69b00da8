/** What a name like `hf:owner/name:file` says, and which files of a repository a model needs. */
import { FrugalError, nearest } from "../../tensor/error.ts";

export interface HubReference {
  /** "owner/name" */
  readonly repository: string;
  /** The one file that is wanted; without it, the set of a Hugging Face directory. */
  readonly file?: string;
}

const part = /^[A-Za-z0-9][\w.-]{0,95}$/;

/** Parses `hf:owner/name` or `hf:owner/name:file`. Throws FRUGAL_BAD_ARGUMENT. */
export function parseHubReference(text: string): HubReference {
  const [, repository = "", file] = /^hf:([^:]*)(?::(.*))?$/s.exec(text) ?? [];
  const parts = repository.split("/");
  if (parts.length !== 2 || !parts.every((name) => part.test(name)))
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `hub: ${JSON.stringify(text)} is not a model's name; write hf:owner/name or hf:owner/name:file`,
      {},
    );
  if (file === undefined) return { repository };
  if (!isPlainPath(file))
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `hub: ${JSON.stringify(file)} is not a plain relative path; name a file of ${repository}`,
      {},
    );
  return { repository, file };
}

/** Throws FRUGAL_BAD_ARGUMENT for what can be no branch, tag or commit. */
export function checkRevision(revision: string): string {
  if (/^[A-Za-z0-9][\w.-]*(?:\/[A-Za-z0-9][\w.-]*)*$/.test(revision) && revision.length <= 255) return revision;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `hub: ${JSON.stringify(revision)} is not a revision; name a branch, a tag or a commit`, {});
}

/** Throws FRUGAL_BAD_ARGUMENT for what is no token, without showing it. */
export function checkToken(token: string | undefined): void {
  if (token === undefined || (token.startsWith("hf_") && /^[\x21-\x7e]+$/.test(token))) return;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", "hub: the token does not begin with hf_; copy it from the account's settings", {});
}

/** Whether a path stays in the directory it is put in, on every system: paths come from a server. */
export const isPlainPath = (path: string): boolean =>
  path.length <= 1024 && path.split("/").every((name) => name !== "" && name !== "." && name !== ".." && !/[\\:\u0000-\u001f]/.test(name));

/** A file of a repository. */
export interface HubFile {
  readonly path: string;
  readonly byteLength: number;
  /** SHA-256 of a large file's content, else SHA-1 of git's blob. */
  readonly hash: string;
}

/** Beside the weights: what a directory is opened and tokenized with. */
const companions = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "chat_template.json",
  "preprocessor_config.json",
  "processor_config.json",
  "modules.json",
  "1_Pooling/config.json",
  "adapter_config.json",
];

const single = /^(model|diffusion_pytorch_model|adapter_model)\.safetensors$/;
const shard = /^(model|diffusion_pytorch_model|adapter_model)(?:-\d{5}-of-\d{5}\.safetensors|\.safetensors\.index\.json)$/;
const ggufPart = /^(.*-)\d{5}(-of-(\d{5})\.gguf)$/s;

/** The files to fetch: the named one (with its parts, where it is split), or configuration, tokenizer and safetensors. Throws FRUGAL_NOT_FOUND. */
export function chooseFiles(reference: HubReference, files: readonly HubFile[]): readonly HubFile[] {
  const { repository, file } = reference;
  if (file !== undefined) return chooseNamed(repository, file, files);
  const singles = files.flatMap(({ path }) => single.exec(path)?.[1] ?? []);
  // Where the weights are there in one file and in shards, one of both is enough.
  const wanted = (path: string): boolean =>
    companions.includes(path) || single.test(path) || (shard.test(path) && !singles.includes(shard.exec(path)![1]!));
  const chosen = files.filter(({ path }) => wanted(path));
  if (chosen.some(({ path }) => path.endsWith(".safetensors"))) return chosen;
  const ggufs = files.filter(({ path }) => path.endsWith(".gguf")).map(({ path }) => path);
  if (ggufs.length === 1) return chooseNamed(repository, ggufs[0]!, files);
  const remedy =
    ggufs.length === 0
      ? "use a repository with safetensors or GGUF files"
      : `name one of its GGUF files: ${ggufs
          .slice(0, 20)
          .map((path) => `hf:${repository}:${path}`)
          .join(", ")}${ggufs.length > 20 ? ", …" : ""}`;
  throw new FrugalError("FRUGAL_NOT_FOUND", `hub: ${repository} has no model.safetensors; ${remedy}`, { repository });
}

function chooseNamed(repository: string, file: string, files: readonly HubFile[]): readonly HubFile[] {
  const names = files.map(({ path }) => path);
  const split = ggufPart.exec(file);
  const wanted =
    split === null ? [file] : Array.from({ length: Number(split[3]) }, (_, i) => `${split[1]}${String(i + 1).padStart(5, "0")}${split[2]}`);
  return wanted.map((path) => {
    const found = files.find((candidate) => candidate.path === path);
    if (found !== undefined) return found;
    const near = nearest(path, names);
    const hint = near === undefined ? `it has ${names.slice(0, 20).join(", ")}` : `the nearest is ${near}`;
    throw new FrugalError("FRUGAL_NOT_FOUND", `hub: ${repository} has no file ${path}; ${hint}`, { repository, file: path, nearest: near });
  });
}
