/** The ```ts examples of doc comments: what they are, and a program of each that a compiler and Node can take. */

export interface Example {
  /** `src/serving/load.ts:12`, the line of its opening fence. */
  readonly place: string;
  readonly code: string;
  /** Marked ```ts run: needs nothing but the package, so the tests run it too. */
  readonly runs: boolean;
}

/** Examples in the doc comments of a source file. */
export function examplesOf(path: string, text: string): Example[] {
  const examples: Example[] = [];
  for (const comment of text.matchAll(/\/\*\*[^]*?\*\//g)) {
    const firstLine = text.slice(0, comment.index).split("\n").length;
    const lines = comment[0].split("\n").map((line) => line.replace(/^\s*(?:\/\*\*|\*(?!\/))? ?/, ""));
    let start: number | undefined;
    let fence = "";
    lines.forEach((line, i) => {
      if (start === undefined && /^```ts(?: run)?$/.test(line.trim())) [start, fence] = [i, line.trim()];
      else if (start !== undefined && line.trim() === "```") {
        examples.push({ place: `${path}:${firstLine + start}`, code: lines.slice(start + 1, i).join("\n"), runs: fence.endsWith(" run") });
        start = undefined;
      }
    });
    if (start !== undefined) throw new Error(`${path}:${firstLine + start}: the example has no closing fence`);
  }
  return examples;
}
