/**
 * `npm run bench:browser`: the browser's engine in Chromium, beside wllama where it is installed: reading a prompt, writing, several texts at
 * once, loading, memory after dispose, and the first token of a cold page. Rounds in turn, each in a browser of its own.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { inBrowser } from "./browser/chromium.ts";
import { type Contestant, cutPrompt, frugal, type Sample, wllama } from "./browser/contestants.ts";
import { coldFirstToken, memoryAfterDispose } from "./browser/life.ts";
import { startServer } from "./browser/server.ts";
import { describeMachine } from "./measure/machine.ts";
import { median, pairwiseRatios, summarize, type Summary } from "./measure/statistics.ts";
import { figure, spread } from "./report.ts";

const usage = `npm run bench:browser -- MODEL [options]

MODEL          a .gguf file
--wllama DIR   where @wllama/wllama was installed: npm install --prefix DIR @wllama/wllama@3.8
--threads N    (default: 2)
--prompt N     tokens of the prompt (default: 507)
--tokens N     tokens written (default: 64)
--context N    (default: 2048)
--repeat N     rounds (default: 5)
--loads N      loads and disposes whose memory is read (default: 10)
--json FILE    write all samples there too
`;

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const path = (place: string): string => fileURLToPath(new URL(`../../${place}`, import.meta.url));

interface Given {
  readonly model: string;
  readonly wllama: string | undefined;
  readonly json: string | undefined;
  readonly numbers: Readonly<Record<"threads" | "prompt" | "tokens" | "context" | "repeat" | "loads", number>>;
}

function parse(args: readonly string[]): Given | undefined {
  const text = { type: "string" } as const;
  const numbers = { threads: 2, prompt: 507, tokens: 64, context: 2048, repeat: 5, loads: 10 };
  const options = {
    wllama: text,
    json: text,
    threads: text,
    prompt: text,
    tokens: text,
    context: text,
    repeat: text,
    loads: text,
  } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { ...options, help: { type: "boolean" } },
    allowPositionals: true,
  });
  if (values.help === true) return undefined;
  const [model, ...rest] = positionals;
  if (model === undefined || rest.length > 0) throw new TypeError("give one MODEL, a .gguf file");
  if (!existsSync(model)) throw new TypeError(`there is no ${model}; name a .gguf file`);
  for (const name of Object.keys(numbers) as (keyof typeof numbers)[]) {
    const value = values[name] ?? String(numbers[name]);
    if (!/^\d{1,6}$/.test(value)) throw new TypeError(`--${name} is ${JSON.stringify(value)}; give a whole number`);
    numbers[name] = Number(value);
  }
  const folder = values.wllama === undefined ? undefined : [join(values.wllama, "node_modules/@wllama/wllama"), values.wllama];
  const found = folder?.find((each) => existsSync(join(each, "esm/index.js")));
  if (folder !== undefined && found === undefined) throw new TypeError(`--wllama ${values.wllama}: no @wllama/wllama is installed there`);
  return { model: resolve(model), wllama: found === undefined ? undefined : resolve(found), json: values.json, numbers };
}

const rows: readonly { readonly name: string; readonly unit: string; readonly of: (sample: Sample) => number | undefined }[] = [
  { name: "prefill", unit: "tokens/s", of: (sample) => sample.prefillTokensPerSecond },
  { name: "decode", unit: "tokens/s", of: (sample) => sample.decodeTokensPerSecond },
  { name: "load of the file", unit: "s", of: (sample) => sample.loadSeconds },
  { name: "two texts at once beside one", unit: "x", of: ({ together }) => ratio(together[2], together[1]) },
  { name: "four texts at once beside one", unit: "x", of: ({ together }) => ratio(together[4], together[1]) },
];
const ratio = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? undefined : a / b;
const line = (name: string, unit: string, summary: Summary): string =>
  `${name.padEnd(44)}${figure(summary.median).padStart(8)} ${spread(summary)} ${unit}`;

async function measure({ model, wllama: folder, json, numbers }: Given): Promise<void> {
  const { threads, prompt: promptTokens, tokens, context, repeat, loads } = numbers;
  const places = {
    "/frugal/": path("dist/browser/"),
    "/models/": `${dirname(model)}/`,
    ...(folder === undefined ? {} : { "/wllama/": `${folder}/` }),
  };
  const server = await startServer(places);
  const inPage = <T>(use: (page: Parameters<Contestant>[0]) => Promise<T>): Promise<T> =>
    inBrowser(async (browser) => {
      const page = await browser.newPage();
      await page.goto(server.origin);
      return use(page);
    });
  try {
    const file = `/models/${encodeURIComponent(basename(model))}`;
    const prompt = await inPage((page) => cutPrompt(page, file, readFileSync(path("LICENSE"), "utf8"), promptTokens));
    const task = { model: file, threads, prompt, promptTokens, tokens, context };
    const contestants: readonly (readonly [string, Contestant])[] = [
      ["frugal", frugal],
      ...(folder === undefined ? [] : [["wllama", wllama] as const]),
    ];
    const samples: Record<string, Sample[]> = {};
    for (let round = 0; round < repeat; round++)
      for (const [name, contestant] of contestants) {
        const sample = await inPage((page) => contestant(page, task));
        (samples[name] ??= []).push(sample);
        say(
          `${round + 1}/${repeat} ${name}: prefill ${figure(sample.prefillTokensPerSecond)}, decode ${figure(sample.decodeTokensPerSecond)} tokens/s (${sample.about})`,
        );
      }
    const firstTokens: number[] = [];
    for (let round = 0; round < repeat; round++) firstTokens.push(await coldFirstToken(server.origin));
    const memory = loads === 0 ? [] : await memoryAfterDispose(server.origin, file, threads, loads);
    process.stdout.write(`${report(samples, firstTokens, memory)}\n`);
    if (json !== undefined)
      writeFileSync(json, `${JSON.stringify({ machine: describeMachine(), ...task, samples, firstTokens, memory }, undefined, 2)}\n`);
  } finally {
    server.close();
  }
}

function report(samples: Readonly<Record<string, readonly Sample[]>>, firstTokens: readonly number[], memory: readonly number[]): string {
  const lines: string[] = [];
  for (const { name, unit, of } of rows)
    for (const [engine, taken] of Object.entries(samples)) {
      const values = taken.map(of).filter((value) => value !== undefined);
      if (values.length === 0) continue;
      lines.push(line(`${name}, ${engine}`, unit, summarize(values)));
      if (engine !== "frugal" && unit === "tokens/s")
        lines.push(
          line(
            "  ours to this one's, by rounds",
            "x",
            summarize(
              pairwiseRatios(
                samples["frugal"]!.map((sample) => of(sample)!),
                values,
              ),
            ),
          ),
        );
    }
  lines.push(line("first token of a cold page, stored model", "s", summarize(firstTokens)));
  const [before, first, ...others] = memory;
  if (before !== undefined && first !== undefined && others.length > 0)
    lines.push(
      `memory of the page: ${before.toFixed(0)} MB before, ${first.toFixed(0)} MB after the first dispose, ${others.at(-1)!.toFixed(0)} MB after the last ` +
        `(${((100 * others.at(-1)!) / first - 100).toFixed(1)} %; median ${median(others).toFixed(0)} MB)`,
    );
  return lines.join("\n");
}

try {
  const given = parse(process.argv.slice(2));
  if (given === undefined) process.stdout.write(usage);
  else await measure(given);
} catch (error) {
  const isUsage = error instanceof TypeError;
  say(`bench: ${(error as Error).message}${isUsage ? `\n\n${usage}` : ""}`);
  process.exitCode = isUsage ? 2 : 1;
}
