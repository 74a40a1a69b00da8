/** The command line of `npm run bench:peers`. */
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

export interface Arguments {
  readonly model: string;
  readonly threads: number;
  readonly repeat: number;
  /** Names of claims, in the order given. */
  readonly quantities: readonly string[];
  readonly peers: readonly Peer[];
  readonly llamaCpp?: string;
  /** The same model in other formats. */
  readonly also: readonly string[];
  readonly text?: string;
  readonly chunks?: number;
  readonly cache: string;
  readonly json?: string;
}

export const peers = ["llama.cpp", "node-llama-cpp"] as const;
export type Peer = (typeof peers)[number];

/** Wrong usage: the message says what to give. */
export class WrongUsage extends Error {}

export const usage = (quantities: readonly string[]): string => `npm run bench:peers -- MODEL [options]

MODEL                 a .gguf file
--threads N           threads of each contestant (default: 2)
--repeat N            rounds, in each of which every contestant is measured once (default: 5)
--quantities A,B      some of ${quantities.join(", ")} (default: all)
--peers A,B           some of ${peers.join(", ")} (default: node-llama-cpp, and llama.cpp where its folder is given)
--llama-cpp DIR       the folder with llama-bench, llama-batched-bench, llama-completion and llama-perplexity
--also FILE           the same model in Q8_0 or F16; may be given twice. What is not given is written once into the cache
--text FILE           the text for perplexity
--chunks N            score only the first N chunks of it (default: all)
--cache DIR           where node-llama-cpp is installed and files are written (default: frugal/peers in the user's cache)
--json FILE           write all samples there too
`;

/** Undefined where help was asked for. Throws WrongUsage. */
export function parseArguments(
  args: readonly string[],
  claims: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Arguments | undefined {
  const { values, positionals } = parsed(args);
  if (values.help === true) return undefined;
  const [model, ...rest] = positionals;
  if (model === undefined) throw new WrongUsage("MODEL is missing: name a .gguf file");
  if (rest.length > 0) throw new WrongUsage(`one MODEL at a time; there is also ${rest.join(", ")}`);
  const llamaCpp = values["llama-cpp"];
  const wanted =
    values.peers === undefined
      ? peers.filter((peer) => peer !== "llama.cpp" || llamaCpp !== undefined)
      : listed("peers", values.peers, peers);
  if (wanted.includes("llama.cpp") && llamaCpp === undefined)
    throw new WrongUsage("--peers llama.cpp needs its folder: give --llama-cpp DIR");
  const chunks = values.chunks === undefined ? undefined : count("chunks", values.chunks);
  return {
    model,
    threads: count("threads", values.threads ?? "2"),
    repeat: count("repeat", values.repeat ?? "5"),
    quantities: values.quantities === undefined ? claims : listed("quantities", values.quantities, claims),
    peers: wanted,
    also: values.also ?? [],
    cache: values.cache ?? join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "frugal", "peers"),
    ...(llamaCpp === undefined ? {} : { llamaCpp }),
    ...(values.text === undefined ? {} : { text: values.text }),
    ...(chunks === undefined ? {} : { chunks }),
    ...(values.json === undefined ? {} : { json: values.json }),
  };
}

const options = {
  threads: { type: "string" },
  repeat: { type: "string" },
  quantities: { type: "string" },
  peers: { type: "string" },
  "llama-cpp": { type: "string" },
  also: { type: "string", multiple: true },
  text: { type: "string" },
  chunks: { type: "string" },
  cache: { type: "string" },
  json: { type: "string" },
  help: { type: "boolean" },
} as const;

function parsed(args: readonly string[]): ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new WrongUsage((error as Error).message);
  }
}

function count(name: string, text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= 100_000) return number;
  throw new WrongUsage(`--${name} is ${JSON.stringify(text)}; give a whole number from 1`);
}

function listed<T extends string>(name: string, text: string, known: readonly T[]): T[] {
  return text.split(",").map((item) => {
    const found = known.find((other) => other === item);
    if (found === undefined) throw new WrongUsage(`--${name}: there is no ${JSON.stringify(item)}; there are ${known.join(", ")}`);
    return found;
  });
}
