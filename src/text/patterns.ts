/**
 * The regular expressions by which published vocabularies cut text into words, in the syntax of tokenizer.json. They are the
 * vocabularies' own definitions; all of them run in linear time, so JavaScript's engine may run them.
 */

const r = String.raw;

/** Digits in groups of three from the right; stands for what no regular expression does in linear time. */
export const digitGroups: string = r`(?=(\d{3})+(?!\d))`;
/** The same, for runs that end at a word's edge. */
export const digitGroupsAtEdges: string = r`\d{1,3}(?=(?:\d{3})*\b)`;

const contractions = "'s|'t|'re|'ve|'m|'ll|'d";
const anyCase = `(?i:${contractions})`;
const word = r`[^\r\n\p{L}\p{N}]?\p{L}+`;
const marks = r` ?[^\s\p{L}\p{N}]+[\r\n]*`;
const spaces = r`\s*[\r\n]+|\s+(?!\S)|\s+`;
// Words that may begin with capitals and end in small letters, and words in capitals.
const upper = r`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const lower = r`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const cases = (tail: string): string => r`[^\r\n\p{L}\p{N}]?${upper}*${lower}+${tail}|[^\r\n\p{L}\p{N}]?${upper}+${lower}*${tail}`;
const slashed = r` ?[^\s\p{L}\p{N}]+[\r\n/]*`;
const asciiWord = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+";
const markedWord = r`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`;
const notHan = (set: string): string => `[${set}&&[^\\p{Han}]]`;

/** Letters that had a case in the Unicode version DeepSeek's first tokenizer was made with. */
const casedLetters = [
  String.raw`A-Za-z\u{b5}\u{c0}-\u{d6}\u{d8}-\u{f6}\u{f8}-\u{1ba}\u{1bc}-\u{1bf}\u{1c4}-\u{293}\u{295}-\u{2af}\u{370}-\u{373}\u{376}`,
  String.raw`\u{377}\u{37b}-\u{37d}\u{37f}\u{386}\u{388}-\u{38a}\u{38c}\u{38e}-\u{3a1}\u{3a3}-\u{3f5}\u{3f7}-\u{481}\u{48a}-\u{52f}`,
  String.raw`\u{531}-\u{556}\u{10a0}-\u{10c5}\u{13a0}-\u{13f5}\u{13f8}-\u{13fd}\u{1c90}-\u{1cba}\u{1cbd}-\u{1cbf}\u{1d00}-\u{1d2b}`,
  String.raw`\u{1d6b}-\u{1d77}\u{1d79}-\u{1d9a}\u{1e00}-\u{1f15}\u{1f18}-\u{1f1d}\u{1f20}-\u{1f45}\u{1f48}-\u{1f4d}\u{1f50}-\u{1f57}`,
  String.raw`\u{1f59}\u{1f5b}\u{1f5d}\u{1f5f}-\u{1f7d}\u{1f80}-\u{1fb4}\u{1fb6}-\u{1fbc}\u{1fbe}\u{1fc2}-\u{1fc4}\u{1fc6}-\u{1fcc}`,
  String.raw`\u{1fd0}-\u{1fd3}\u{1fd6}-\u{1fdb}\u{1fe0}-\u{1fec}\u{1ff2}-\u{1ff4}\u{1ff6}-\u{1ffc}\u{2102}\u{2107}\u{210a}-\u{2113}`,
  String.raw`\u{2115}\u{2119}-\u{211d}\u{2124}\u{2126}\u{2128}\u{212a}-\u{212d}\u{212f}-\u{2134}\u{2139}\u{213c}-\u{213f}`,
  String.raw`\u{2145}-\u{2149}\u{214e}\u{2183}\u{2184}\u{2c00}-\u{2c7b}\u{2c7e}-\u{2ce4}\u{2ceb}-\u{2cee}\u{2cf2}\u{2cf3}`,
  String.raw`\u{a640}-\u{a66d}\u{a680}-\u{a69b}\u{a722}-\u{a76f}\u{a771}-\u{a787}\u{a78b}-\u{a78e}\u{ab70}-\u{abbf}\u{fb00}-\u{fb06}`,
  String.raw`\u{fb13}-\u{fb17}\u{ff21}-\u{ff3a}\u{ff41}-\u{ff5a}\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}`,
  String.raw`\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}`,
].join("");

export const gpt2: string = r`${contractions}| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
export const llama3: string = r`${anyCase}|${word}|\p{N}{1,3}|${marks}|${spaces}`;
export const qwen2: string = r`${anyCase}|${word}|\p{N}|${marks}|${spaces}`;
export const qwen35: string = r`${anyCase}|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|${spaces}`;
export const minicpm: string = r`${anyCase}|${word}|\p{N}+|${marks}|${spaces}`;
export const noContractions: string = r`${word}|\p{N}|${marks}|${spaces}`;
export const jais2: string = r`${anyCase}|${word}|\p{N}{1,3}|${marks}|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`;
export const bailing: string = r`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`;
export const seedCoder: string = r`${anyCase}|${word}|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|${spaces}`;
export const exaoneMoe: string = r`${anyCase}|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`;
export const tekken: string = r`${cases("")}|\p{N}|${slashed}|${spaces}`;
export const gpt4o: string = r`${cases(`${anyCase}?`)}|\p{N}{1,3}|${slashed}|${spaces}`;
export const youtu: string = r`${cases(`${anyCase}?`)}|\p{N}|${slashed}|${spaces}`;
export const kimi: string = r`[\p{Han}]+|[^\r\n\p{L}\p{N}]?${notHan(upper)}*${notHan(lower)}+${anyCase}?|[^\r\n\p{L}\p{N}]?${notHan(upper)}+${notHan(lower)}*${anyCase}?|\p{N}{1,3}|${marks}|${spaces}`;
export const deepseek3: string = r`${asciiWord}|${markedWord}| ?[\p{P}\p{S}]+[\r\n]*|${spaces}`;
export const spark: string = r`${asciiWord}|${markedWord}| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+`;
export const deepseekLetters: string = r`\s?[${casedLetters}]+`;
export const deepseekMarks: string = r`\s?[!-/:-~\u{ff01}-\u{ff0f}\u{ff1a}-\u{ff5e}\u{2018}-\u{201f}\u{3000}-\u{3002}]+`;
export const deepseekCjk: string = r`[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+`;
export const cjkAndKana: string = r`[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+`;
export const youtuScripts: string = r`[\u{ac00}-\u{d7a3}\u{3131}-\u{318e}]+|[\u{ff01}\u{2026}\u{201c}\u{201d}\u{2018}\u{2019}\u{2014}\u{ff1a}\u{ff1b}\u{ff0c}\u{3001}-\u{303f}\u{fe30}-\u{fe4f}]+|[\u{3105}-\u{312f}]+|[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+`;
export const asianScripts: string = r`[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{f900}-\u{faff}\u{3040}-\u{309f}\u{30a0}-\u{30ff}\u{ff65}-\u{ff9f}\u{2e80}-\u{2fdf}\u{e00}-\u{e7f}\u{e80}-\u{eff}\u{1780}-\u{17ff}\u{1000}-\u{109f}\u{aa60}-\u{aa7f}\u{a9e0}-\u{a9ff}\u{ac00}-\u{d7af}\u{1100}-\u{11ff}]+`;
export const bloom: string = r` ?[^(\s|.,!?\u{2026}\u{3002}\u{ff0c}\u{3001}\u{964}\u{6d4}\u{60c})]+`;
export const trailingSpace: string = r`(?<!\s)\s+$`;
export const letters: string = r`\s?\p{L}+`;
export const punctuation: string = r`\s?\p{P}+`;
export const digit: string = r`\p{N}`;
export const digits: string = r`\p{N}+`;
export const threeDigits: string = r`\p{N}{1,3}`;
export const threeAscii: string = "[0-9][0-9][0-9]";
export const lineBreak: string = r`[\r\n]`;
export const lines: string = r`[^\n]+|[\n]+`;
export const falcon: string = r`[\p{P}\$\+<=>\^~\|${"`"}]+`;
export const first: string = r`[\p{P}\$\+<=>\^~\|]+`;
export const sentinel: string = "<sentinel:[0-9]+>";
export const image: string = "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z";
export const tabs: string = r`([\t\n]|    |  )`;
export const asciiMark: string = r`[\p{P}!-/:-@\[-${"`"}{-~]`;

/** From patterns as files write them to an equal one that runs in linear time. */
export const respelled: ReadonlyMap<string, string> = new Map([
  [r`\s+$`, trailingSpace],
  // OpenAI's own spellings.
  [r`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`, llama3],
  [r`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`, llama3],
]);
