/** What commands print: results on stdout, everything else on stderr. */

/** Writes to stdout and waits while its reader is slow. */
export function print(text: string): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.write(text)) resolve();
    else process.stdout.once("drain", resolve);
  });
}

export const printLine = (text: string): Promise<void> => print(`${text}\n`);
export const printJson = (value: unknown): Promise<void> => printLine(JSON.stringify(value));

/** For people who watch: nothing where stderr is not a terminal. */
export function note(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${text}\n`);
}

/** A line on the terminal that is written again and again. */
export interface Progress {
  update(text: string): void;
  end(): void;
}

export function progressLine(): Progress {
  if (!process.stderr.isTTY) return { update() {}, end() {} };
  let shown = 0;
  let last = 0;
  return {
    update(text) {
      const now = performance.now();
      if (now - last < 100) return;
      last = now;
      process.stderr.write(`\r${text.padEnd(shown)}`);
      shown = text.length;
    },
    end() {
      if (shown > 0) process.stderr.write(`\r${" ".repeat(shown)}\r`);
      shown = 0;
    },
  };
}

/** The most memory this process has used, in bytes. */
export const peakMemory = (): number => process.resourceUsage().maxRSS * 1024;

export const round = (value: number, digits = 2): number => Number(value.toFixed(digits));
