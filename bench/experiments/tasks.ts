/** Two tasks of classifying sentences, each written as a text whose next word is the answer. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { unzip } from "./archive.ts";

export interface Labelled {
  readonly prompt: string;
  readonly answer: string;
}

export interface Task {
  readonly name: string;
  readonly title: string;
  /** With the space before them; each is one piece of the model's vocabulary. */
  readonly answers: readonly string[];
  readonly train: readonly Labelled[];
  readonly test: readonly Labelled[];
  readonly steps: number;
}

export const examplesPerStep = 16;
const testCount = 400;

/** From the folder `tasks` of the shared data. */
export const readTasks = (folder: string): readonly Task[] => [polarity(folder), intents(folder)];

/** Pang and Lee 2005: sentences of film reviews. There is no split: every tenth of each kind is for the test. */
function polarity(folder: string): Task {
  const archive = readFileSync(join(folder, "sentiment/sentence_polarity.zip"));
  const answers = [" good", " bad"];
  const sentences = ["pos", "neg"].flatMap((kind, label) =>
    unzip(archive, `sentence_polarity/rt-polarity.${kind}`)
      .toString("latin1")
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line, i) => ({ isTest: i % 10 === 9, prompt: `${line.trim()}\nThis is`, answer: answers[label]! })),
  );
  const [train, test] = [sentences.filter(({ isTest }) => !isTest), sentences.filter(({ isTest }) => isTest)];
  return { name: "polarity", title: "sentence polarity, 2 kinds", answers, train, test: spread(test, testCount), steps: 150 };
}

/** Casanueva et al. 2020, arXiv 2003.04807: what customers ask a bank. The ten intents with the most questions. */
function intents(folder: string): Task {
  const read = (name: string): { question: string; intent: string }[] => {
    // Two columns; a question with a comma or a line break stands in quotes, and quotes in it are doubled.
    const line = /^(?:"((?:[^"]|"")*)"|([^",\n]*)),(\w+)\r?$/gm;
    const rows = [...readFileSync(join(folder, "banking77", name), "utf8").matchAll(line)].slice(1);
    return rows.map(([, quoted, plain, intent]) => ({ question: (quoted?.replaceAll('""', '"') ?? plain!).trim(), intent: intent! }));
  };
  const [all, held] = [read("train.csv"), read("test.csv")];
  const counts = new Map<string, number>();
  for (const { intent } of all) counts.set(intent, (counts.get(intent) ?? 0) + 1);
  const chosen = [...counts].toSorted(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).slice(0, 10);
  const letters = new Map(chosen.map(([intent], i) => [intent, ` ${String.fromCharCode(65 + i)}`]));
  const labelled = (rows: readonly { question: string; intent: string }[]): Labelled[] =>
    rows.flatMap(({ question, intent }) => {
      const answer = letters.get(intent);
      return answer === undefined ? [] : [{ prompt: `${question}\nKind:`, answer }];
    });
  const answers = [...letters.values()];
  return { name: "intents", title: "Banking77, 10 intents", answers, train: labelled(all), test: labelled(held), steps: 200 };
}

/** So many of a list, evenly spread. */
const spread = <T>(list: readonly T[], count: number): T[] =>
  list.filter((_, i) => Math.floor((i * count) / list.length) !== Math.floor(((i - 1) * count) / list.length));
