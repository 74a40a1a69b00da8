/** What a recipe says of its data and of a tokenizer that is learned from them. */
import { directoryOf, joinPath, openFile } from "../formats/files.ts";
import { FrugalError } from "../tensor/error.ts";
import type { ByteSource } from "../tensor/source.ts";
import { tokenizerFromJson } from "../text/from-json.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { trainMerges } from "../text/train-bpe.ts";
import { tokenizerFiles, type TokenizerFiles } from "../text/write-json.ts";
import { type Corpus, corpusRows, readCorpus, type TextFile } from "./corpus.ts";

/** A JSONL file, or a file of plain texts. */
export type DataEntry = string | TextFile;

export interface RecipeData {
  /** JSONL of all entries, in their order. */
  readonly sources: readonly ByteSource[];
  /** The plain texts among them, and what was left out. */
  readonly corpora: readonly Corpus[];
  close(): Promise<void>;
}

/** Paths are seen from the recipe's folder. Rejects as `readCorpus` and `openFile` do. */
export async function openRecipeData(recipe: string, data: DataEntry | readonly DataEntry[]): Promise<RecipeData> {
  const entries: readonly DataEntry[] = typeof data === "string" || !("length" in data) ? [data] : data;
  const sources: ByteSource[] = [];
  const corpora: Corpus[] = [];
  const close = async (): Promise<void> => void (await Promise.all(sources.map((source) => source.close())));
  try {
    for (const entry of entries) {
      if (typeof entry === "string") {
        sources.push(await openFile(besideRecipe(recipe, entry)));
        continue;
      }
      const file = besideRecipe(recipe, entry.file);
      const corpus = await readCorpus({ ...entry, file });
      corpora.push(corpus);
      sources.push(corpusRows(file, corpus));
    }
    return { sources, corpora, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A path that a recipe names. */
export const besideRecipe = (recipe: string, path: string): string =>
  /^(?:[/\\]|[A-Za-z]:)/.test(path) ? path : joinPath(directoryOf(recipe), path);

/** A byte-level BPE vocabulary that is learned from the recipe's plain texts. */
export interface NewTokenizer {
  /** Pieces in all, 256 bytes and the special ones included. */
  readonly vocabulary: number;
  /** Texts begin and end with these pieces, which no text becomes; they may be the same. */
  readonly bos?: string;
  readonly eos?: string;
}

/** Throws FRUGAL_BAD_ARGUMENT where there is no plain text, and as `trainMerges` does. */
export function learnTokenizer(
  { vocabulary, bos, eos }: NewTokenizer,
  corpora: readonly Corpus[],
): { readonly files: TokenizerFiles; readonly tokenizer: Tokenizer } {
  if (corpora.length === 0)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      'recipe: a tokenizer is learned from plain text; name some in data, as {"file": "texts.txt", "separator": "---"}',
    );
  const special = [...new Set([bos, eos].filter((piece) => piece !== undefined))];
  const merges = trainMerges(texts(corpora), { vocabulary, special });
  if (merges.pieces.length < vocabulary)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `recipe: the texts give a vocabulary of ${merges.pieces.length}, not ${vocabulary}; ask for a smaller one or give more text`,
      { vocabulary },
    );
  const files = tokenizerFiles(merges, { bos, eos });
  return { files, tokenizer: tokenizerFromJson(files.tokenizer, files.config) };
}

function* texts(corpora: readonly Corpus[]): Generator<string> {
  for (const corpus of corpora) yield* corpus.texts;
}
