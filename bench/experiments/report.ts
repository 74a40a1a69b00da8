/** The experiment's page: a table a task, and a plot of accuracy over trained parameters. */
import type { Method, Tuning } from "./tuning.ts";

export interface Row {
  readonly method: Method;
  /** One a seed. */
  readonly tunings: readonly Tuning[];
}

export interface TaskResult {
  readonly title: string;
  readonly steps: number;
  /** Per cent, of the model as it is. */
  readonly untuned: number;
  readonly rows: readonly Row[];
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
/** Of the sample: divided by one less than the count. */
const deviation = (values: readonly number[]): number => {
  const middle = mean(values);
  return values.length < 2 ? 0 : Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
};
const of = (row: Row, key: keyof Tuning): number[] => row.tunings.map((tuning) => tuning[key]);
const spaced = (value: number): string => String(Math.round(value)).replace(/(?<=\d)(?=(\d{3})+$)/g, ",");

/** GitHub's Markdown. */
export function tables(results: readonly TaskResult[], parameters: number): string {
  return results
    .map(({ title, steps, untuned, rows }) => {
      const lines = rows.map((row) => {
        const [accuracy, seconds, trained] = [of(row, "accuracy"), of(row, "seconds"), mean(of(row, "trainable"))];
        const share = `${((100 * trained) / parameters).toFixed(1)} %`;
        const memory = `${(mean(of(row, "peakBytes")) / 1e6).toFixed(0)} MB`;
        const cells = [row.method.name, spaced(trained), share, memory, `${mean(seconds).toFixed(1)} ± ${deviation(seconds).toFixed(1)} s`];
        return `| ${cells.join(" | ")} | ${mean(of(row, "finalLoss")).toFixed(3)} | ${mean(accuracy).toFixed(1)} ± ${deviation(accuracy).toFixed(1)} % |`;
      });
      return [
        `### ${title[0]!.toUpperCase()}${title.slice(1)} (${steps} steps)`,
        "",
        "| method | trained parameters | of all | peak memory | time | loss, last 10 steps | accuracy |",
        "|---|---|---|---|---|---|---|",
        `| as it is | 0 | 0 % | | | | ${untuned.toFixed(1)} % |`,
        ...lines,
      ].join("\n");
    })
    .join("\n\n");
}

const [width, height] = [720, 380];
const [left, right, top, bottom] = [56, 150, 40, 52];
const marks = ["one", "two", "three"];

/** Accuracy with its deviation over the seeds, against trained parameters on a logarithmic scale. Light and dark pages show it alike. */
export function plot(results: readonly TaskResult[]): string {
  const points = results.map(({ rows }) => rows.map((row) => ({ row, x: mean(of(row, "trainable")), y: of(row, "accuracy") })));
  const xs = points.flat().map(({ x }) => Math.log10(x));
  const ys = points.flat().flatMap(({ y }) => [mean(y) - deviation(y), mean(y) + deviation(y)]);
  const [x0, x1] = [Math.floor(Math.min(...xs)), Math.ceil(Math.max(...xs))];
  const [y0, y1] = [Math.max(0, Math.floor(Math.min(...ys) / 10) * 10), Math.min(100, Math.ceil(Math.max(...ys) / 10) * 10)];
  const x = (value: number): string => (left + ((Math.log10(value) - x0) / (x1 - x0 || 1)) * (width - left - right)).toFixed(1);
  const y = (value: number): string => (top + ((y1 - value) / (y1 - y0 || 1)) * (height - top - bottom)).toFixed(1);
  const tick = (at: number): string =>
    `<path class="grid" d="M${left} ${y(at)}H${width - right}"/><text x="${left - 8}" y="${Number(y(at)) + 4}" text-anchor="end">${at} %</text>`;
  const power = (at: number): string =>
    `<text x="${x(10 ** at)}" y="${height - bottom + 20}" text-anchor="middle">${spaced(10 ** at)}</text>`;
  const count = (from: number, to: number, by: number): number[] =>
    Array.from({ length: Math.floor((to - from) / by) + 1 }, (_, i) => from + i * by);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="Accuracy over trained parameters">`,
    "<style>text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-size:14px;fill:#24292f}.grid{stroke:#8c959f;stroke-opacity:.3}.axis{stroke:#8c959f;fill:none}",
    ".one{stroke:#0969da;fill:#0969da}.two{stroke:#bc4c00;fill:#bc4c00}.three{stroke:#8250df;fill:#8250df}.line{fill:none;stroke-opacity:.5}",
    "@media(prefers-color-scheme:dark){text{fill:#9198a1}.title{fill:#e6edf3}.one{stroke:#58a6ff;fill:#58a6ff}.two{stroke:#f0883e;fill:#f0883e}}</style>",
    `<text class="title" x="${left}" y="22">Accuracy by number of trained parameters, mean and deviation over seeds</text>`,
    ...count(y0, y1, 10).map(tick),
    ...count(x0, x1, 1).map(power),
    `<path class="axis" d="M${left} ${top}V${height - bottom}H${width - right}"/>`,
    `<text x="${(left + width - right) / 2}" y="${height - 10}" text-anchor="middle">trained parameters</text>`,
    ...points.flatMap((list, i) => series(list, marks[i % marks.length]!, results[i]!.title, i, x, y)),
    "</svg>",
    "",
  ].join("\n");
}

function series(
  list: readonly { readonly row: Row; readonly x: number; readonly y: readonly number[] }[],
  mark: string,
  title: string,
  i: number,
  x: (value: number) => string,
  y: (value: number) => string,
): string[] {
  return [
    `<path class="line ${mark}" d="M${list.map((point) => `${x(point.x)} ${y(mean(point.y))}`).join("L")}"/>`,
    ...list.map(({ row, x: at, y: values }) => {
      const [middle, spread] = [mean(values), deviation(values)];
      return [
        `<path class="${mark}" d="M${x(at)} ${y(middle - spread)}V${y(middle + spread)}"/>`,
        `<circle class="${mark}" cx="${x(at)}" cy="${y(middle)}" r="3.5"><title>${row.method.name}: ${middle.toFixed(1)} ± ${spread.toFixed(1)} %</title></circle>`,
      ].join("");
    }),
    `<circle class="${mark}" cx="${width - right + 16}" cy="${top + 8 + 20 * i}" r="3.5"/><text x="${width - right + 26}" y="${top + 12 + 20 * i}">${title.split(",")[0]!}</text>`,
  ];
}
