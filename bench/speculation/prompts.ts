/** Prompts whose answer repeats most of them. The model is no chat model: each prompt is a text that plainly goes on so. */

export interface Prompt {
  readonly kind: "copy" | "edit";
  readonly text: string;
}

const count = 8;

/** Pieces of prose of about 110 words, spread over the text, each from the start of a sentence. */
export function passages(text: string): string[] {
  const sentences = text
    .replace(/\s+/g, " ")
    .split(/(?<=[.!?]) (?=[A-Z])/)
    .filter((sentence) => sentence.length > 20);
  const needed = count + 1;
  return Array.from({ length: needed }, (_, i) => {
    const passage: string[] = [];
    for (let at = Math.floor((i * sentences.length) / needed); at < sentences.length && wordsIn(passage.join(" ")) < 110; at++)
      passage.push(sentences[at]!);
    return passage.join(" ");
  });
}

const wordsIn = (text: string): number => text.split(" ").length;

/** Copies: a passage twice, and the beginning of a third time. Edits: one passage with its errors and without, then another with errors. */
export function promptsOf([example, ...texts]: readonly string[]): Prompt[] {
  const copies = texts.map((text): Prompt => ({ kind: "copy", text: `${text}\n\n${text}\n\n${text.split(" ").slice(0, 6).join(" ")}` }));
  const task = (text: string): string => `Text with errors: ${withErrors(text)}\nThe same text, corrected:`;
  const edits = texts.map((text): Prompt => ({
    kind: "edit",
    text: `${task(example!)} ${example}\n\n${task(text)} ${text.split(" ").slice(0, 4).join(" ")}`,
  }));
  return [...copies, ...edits];
}

/** Every twelfth word with two letters in the wrong order. */
const withErrors = (text: string): string =>
  text
    .split(" ")
    .map((word, i) => (i % 12 === 7 && word.length > 3 ? `${word[0]}${word[2]}${word[1]}${word.slice(3)}` : word))
    .join(" ");
