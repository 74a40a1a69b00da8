/** Small plots as SVG, for pages in light and in dark. */

export interface Series {
  readonly name: string;
  readonly values: readonly number[];
}

export interface Chart {
  readonly title: string;
  /** Of the values. */
  readonly unit: string;
  /** One a value of each series. */
  readonly labels: readonly string[];
  readonly series: readonly Series[];
  /** A limit to draw across. */
  readonly goal?: { readonly name: string; readonly value: number };
}

const [width, height] = [720, 320];
const [left, right, top, bottom] = [64, 150, 44, 44];
const colors = ["one", "two", "three", "four", "five"];

const style = [
  "text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-size:14px;fill:#24292f}.grid{stroke:#8c959f;stroke-opacity:.3}.axis{stroke:#8c959f;fill:none}",
  ".one{stroke:#0969da;fill:#0969da}.two{stroke:#bc4c00;fill:#bc4c00}.three{stroke:#8250df;fill:#8250df}.four{stroke:#1a7f37;fill:#1a7f37}.five{stroke:#9a6700;fill:#9a6700}",
  ".goal{stroke:#cf222e;stroke-dasharray:4 3}",
  "@media(prefers-color-scheme:dark){text{fill:#9198a1}.title{fill:#e6edf3}.one{stroke:#58a6ff;fill:#58a6ff}.two{stroke:#f0883e;fill:#f0883e}.three{stroke:#bc8cff;fill:#bc8cff}.four{stroke:#3fb950;fill:#3fb950}.five{stroke:#d29922;fill:#d29922}}",
].join("");

/** Groups of bars, from zero. */
export function barChart({ title, unit, labels, series, goal }: Chart): string {
  const most = niceAbove(Math.max(goal?.value ?? 0, ...series.flatMap(({ values }) => values)));
  const [innerWidth, innerHeight] = [width - left - right, height - top - bottom];
  const y = (value: number): number => top + innerHeight * (1 - value / most);
  const group = innerWidth / labels.length;
  const bar = Math.min(36, (group * 0.8) / series.length);
  const place = (i: number, s: number): number => left + group * (i + 0.5) + bar * (s - series.length / 2);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">`,
    `<style>${style}</style>`,
    `<text class="title" x="${left}" y="22">${escape(title)}</text>`,
    `<text x="${left - 8}" y="${top - 8}" text-anchor="end">${escape(unit)}</text>`,
    ...[0, 0.25, 0.5, 0.75, 1].map((share) => {
      const at = y(most * share).toFixed(1);
      return `<path class="grid" d="M${left} ${at}H${width - right}"/><text x="${left - 8}" y="${Number(at) + 4}" text-anchor="end">${figure(most * share)}</text>`;
    }),
    ...labels.map((label, i) => {
      const middle = left + group * (i + 0.5);
      return `<text x="${middle.toFixed(1)}" y="${height - bottom + 18}" text-anchor="middle">${escape(label)}</text>`;
    }),
    ...series.flatMap(({ name, values }, s) => [
      ...values.map((value, i) => {
        const title = `<title>${escape(`${name}, ${labels[i]!}: ${figure(value)} ${unit}`)}</title>`;
        return `<rect class="${colors[s % colors.length]!}" x="${place(i, s).toFixed(1)}" y="${y(value).toFixed(1)}" width="${(bar * 0.9).toFixed(1)}" height="${(y(0) - y(value)).toFixed(1)}">${title}</rect>`;
      }),
      `<rect class="${colors[s % colors.length]!}" x="${width - right + 12}" y="${top + 20 * s}" width="10" height="10"/><text x="${width - right + 28}" y="${top + 10 + 20 * s}">${escape(name)}</text>`,
    ]),
    ...(goal === undefined
      ? []
      : [
          `<path class="goal" d="M${left} ${y(goal.value).toFixed(1)}H${width - right}"/><text x="${width - right + 12}" y="${(y(goal.value) + 4).toFixed(1)}">${escape(goal.name)}</text>`,
        ]),
    `<path class="axis" d="M${left} ${top}V${height - bottom}H${width - right}"/>`,
    "</svg>",
    "",
  ].join("\n");
}

/** The least of 1, 2, 4, 5, 8 times a power of ten that is no less. */
function niceAbove(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 8, 10].map((n) => n * power).find((n) => n >= value * (1 - 1e-9))!;
}

const figure = (value: number): string => (value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))));
const escape = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.codePointAt(0)};`);
