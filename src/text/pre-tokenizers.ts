/** How the vocabularies that GGUF files name in `tokenizer.ggml.pre` cut text into words: rows of data, one a name. */
import { FrugalError, nearest } from "../tensor/error.ts";
import * as p from "./patterns.ts";

export interface PreTokenizer {
  /** Applied one after the other, each to the parts the one before left. */
  readonly cuts: readonly string[];
  /** A word that is a piece is taken whole. */
  readonly wholeWords?: boolean;
  /** What holds where the file does not say. */
  readonly addBos?: boolean;
  /** Pieces spell characters, with U+2581 for a space, and not bytes in GPT-2's alphabet. */
  readonly characters?: boolean;
  /** Runs of line breaks are looked up whole. */
  readonly wholeLines?: boolean;
}

const gpt2: PreTokenizer = { cuts: [p.gpt2] };
const llama3: PreTokenizer = { cuts: [p.llama3], wholeWords: true, addBos: true };
const llama3Plain: PreTokenizer = { cuts: [p.llama3] };
const starcoder: PreTokenizer = { cuts: [p.digit, p.gpt2] };
const qwen2: PreTokenizer = { cuts: [p.qwen2] };
const deepseek3: PreTokenizer = { cuts: [p.threeDigits, p.cjkAndKana, p.deepseek3] };
const gpt4o: PreTokenizer = { cuts: [p.gpt4o] };
const bloom: PreTokenizer = { cuts: [p.bloom] };
const bailing: PreTokenizer = { cuts: [p.bailing] };
const aya: PreTokenizer = { cuts: [p.digitGroupsAtEdges, p.gpt4o] };
const gemma4: PreTokenizer = { cuts: [p.lines], characters: true, wholeLines: true };

/** By the names llama.cpp gives them. */
export const preTokenizers: Readonly<Record<string, PreTokenizer>> = {
  default: { cuts: [p.first, p.gpt2, p.digits, p.threeAscii] },
  "llama-bpe": llama3,
  llama3,
  "llama-v3": llama3,
  falcon3: llama3,
  "falcon-h1": llama3,
  pixtral: llama3,
  "midm-2.0": llama3,
  lfm2: llama3,
  "jina-v5-nano": llama3,
  dbrx: llama3Plain,
  "smaug-bpe": llama3Plain,
  "chatglm-bpe": llama3Plain,
  glm4: { cuts: [p.llama3], wholeWords: true },
  glm5: { cuts: [p.llama3], wholeWords: true },
  minicpm5: { cuts: [p.threeDigits, p.minicpm], wholeWords: true },
  "deepseek-llm": { cuts: [p.lineBreak, p.deepseekLetters, p.deepseekMarks, p.trailingSpace, p.deepseekCjk, p.digits] },
  "deepseek-coder": { cuts: [p.lineBreak, p.letters, p.punctuation, p.deepseekCjk, p.digit] },
  "deepseek-v3": deepseek3,
  "hunyuan-dense": deepseek3,
  "joyai-llm": deepseek3,
  hy_v4: deepseek3,
  spark2_5: { cuts: [p.threeDigits, p.cjkAndKana, p.spark, p.digit] },
  youtu: { cuts: [p.youtuScripts, p.youtu], wholeWords: true },
  falcon: { cuts: [p.falcon, p.gpt2, p.threeAscii] },
  starcoder,
  refact: starcoder,
  "command-r": starcoder,
  smollm: starcoder,
  codeshell: starcoder,
  exaone: starcoder,
  "minerva-7b": starcoder,
  mellum2: starcoder,
  "gpt-2": gpt2,
  mpt: gpt2,
  olmo: gpt2,
  jais: gpt2,
  trillion: gpt2,
  "granite-docling": gpt2,
  "phi-2": gpt2,
  "jina-es": gpt2,
  "jina-de": gpt2,
  "jina-v2-es": gpt2,
  "jina-v2-de": gpt2,
  gigachat: gpt2,
  "a.x-4.0": gpt2,
  mellum: gpt2,
  "modern-bert": gpt2,
  exaone4: gpt2,
  "jina-v1-en": gpt2,
  "jina-v2-code": gpt2,
  "roberta-bpe": gpt2,
  stablelm2: qwen2,
  qwen2,
  "deepseek-r1-qwen": qwen2,
  kormo: qwen2,
  f2llmv2: qwen2,
  megrez: qwen2,
  hunyuan: qwen2,
  "solar-open": qwen2,
  "grok-2": qwen2,
  qwen35: { cuts: [p.qwen35] },
  laguna: { cuts: [p.lines, p.qwen2] },
  ufakzeka: { cuts: [p.noContractions] },
  "poro-chat": bloom,
  bloom,
  "gpt3-finnish": bloom,
  viking: { cuts: [p.bloom, p.digit] },
  tekken: { cuts: [p.tekken], wholeWords: true, addBos: true },
  chameleon: { cuts: [p.sentinel, p.image, p.tabs, p.digit, p.asciiMark, p.gpt2], addBos: true },
  "gpt-4o": gpt4o,
  llama4: gpt4o,
  kanana2: gpt4o,
  talkie: gpt4o,
  "minimax-m2": gpt4o,
  "granite-embed-multi-97m": { cuts: [p.gpt4o], wholeWords: true },
  tiny_aya: aya,
  cohere2moe: aya,
  "kimi-k2": { cuts: [p.kimi] },
  superbpe: { cuts: [p.digits, p.digitGroups] },
  bailingmoe: bailing,
  bailingmoe2: bailing,
  "llada-moe": bailing,
  "seed-coder": { cuts: [p.seedCoder] },
  "jais-2": { cuts: [p.jais2] },
  afmoe: { cuts: [p.digitGroups, p.asianScripts, p.deepseek3] },
  "exaone-moe": { cuts: [p.exaoneMoe] },
  gemma4,
  "granite-embed-multi-311m": gemma4,
  "sarvam-moe": { cuts: [p.lines], characters: true },
};

/** @throws FRUGAL_UNSUPPORTED for a name nobody knows, with the nearest one. */
export function preTokenizer(name: string): PreTokenizer {
  const found = Object.hasOwn(preTokenizers, name) ? preTokenizers[name] : undefined;
  if (found !== undefined) return found;
  const near = nearest(name, Object.keys(preTokenizers));
  const hint = near === undefined ? "" : `; did you mean ${JSON.stringify(near)}?`;
  throw new FrugalError("FRUGAL_UNSUPPORTED", `tokenizer: the pre-tokenizer ${JSON.stringify(name)} is not known${hint}`, { name, near });
}
