/** The learning curve as a small SVG: training and evaluation loss over the steps, readable on light and dark pages. */
import type { TrainingProgress } from "./run.ts";

const [width, height] = [720, 400];
const [left, right, top, bottom] = [64, 16, 40, 48];
/** Points a line has at most; more steps are averaged. */
const mostPoints = 400;

interface Point {
  readonly step: number;
  readonly loss: number;
}

export function curveSvg(history: readonly TrainingProgress[], title = "Loss"): string {
  const training = thinned(history.map(({ step, loss }) => ({ step, loss })));
  const evaluation = history.flatMap(({ step, evaluationLoss: loss }) => (loss === undefined ? [] : [{ step, loss }]));
  const all = [...training, ...evaluation];
  const [low, high] = spread(all.map(({ loss }) => loss));
  const last = Math.max(1, ...all.map(({ step }) => step));
  const x = (step: number): number =>
    left + ((step - Math.min(1, last - 1)) / Math.max(1, last - Math.min(1, last - 1))) * (width - left - right);
  const y = (loss: number): number => top + ((high - loss) / (high - low)) * (height - top - bottom);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">`,
    `<style>text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-size:14px;fill:#24292f}.grid{stroke:#8c959f;stroke-opacity:.3}.axis{stroke:#8c959f}.training{stroke:#0969da}.evaluation{stroke:#bc4c00}@media(prefers-color-scheme:dark){text{fill:#9198a1}.title{fill:#e6edf3}.training{stroke:#58a6ff}.evaluation{stroke:#f0883e}}</style>`,
    `<text class="title" x="${left}" y="20">${escape(title)}</text>`,
    ...ticks(low, high).map(
      (loss) =>
        `<path class="grid" d="M${left} ${place(y(loss))}H${width - right}"/><text x="${left - 8}" y="${place(y(loss) + 4)}" text-anchor="end">${number(loss)}</text>`,
    ),
    ...ticks(1, last)
      .filter((step) => Number.isInteger(step))
      .map((step) => `<text x="${place(x(step))}" y="${height - bottom + 18}" text-anchor="middle">${step}</text>`),
    `<path class="axis" fill="none" d="M${left} ${top}V${height - bottom}H${width - right}"/>`,
    `<text x="${(left + width - right) / 2}" y="${height - 10}" text-anchor="middle">step</text>`,
    `<text x="16" y="${(top + height - bottom) / 2}" text-anchor="middle" transform="rotate(-90 16 ${(top + height - bottom) / 2})">loss (nats a token)</text>`,
    line("training", training, x, y),
    line("evaluation", evaluation, x, y),
    legend(width - right, [...(training.length > 0 ? ["training"] : []), ...(evaluation.length > 0 ? ["evaluation"] : [])]),
    "</svg>",
  ];
  return `${parts.filter((part) => part !== "").join("\n")}\n`;
}

function line(name: string, points: readonly Point[], x: (step: number) => number, y: (loss: number) => number): string {
  if (points.length === 0) return "";
  const at = points.map(({ step, loss }) => `${place(x(step))} ${place(y(loss))}`);
  // A line of one point is a dot.
  return `<path class="${name}" fill="none" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" d="M${at.join("L")}${at.length === 1 ? "h0" : ""}"/>`;
}

function legend(end: number, names: readonly string[]): string {
  const wide = 100;
  return names
    .map((name, i) => {
      const from = end - wide * (names.length - i);
      return `<path class="${name}" stroke-width="2" d="M${from} 16h20"/><text x="${from + 26}" y="20">${name}</text>`;
    })
    .join("");
}

/** Means of neighbours, where there are too many to see. */
function thinned(points: readonly Point[]): readonly Point[] {
  const each = Math.ceil(points.length / mostPoints);
  if (each <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / each) }, (_, i) => {
    const group = points.slice(i * each, (i + 1) * each);
    const mean = (of: keyof Point): number => group.reduce((sum, point) => sum + point[of], 0) / group.length;
    return { step: mean("step"), loss: mean("loss") };
  });
}

function spread(losses: readonly number[]): readonly [number, number] {
  const low = losses.reduce((least, loss) => Math.min(least, loss), Infinity);
  const high = losses.reduce((most, loss) => Math.max(most, loss), -Infinity);
  if (!Number.isFinite(low)) return [0, 1];
  const room = high > low ? 0.05 * (high - low) : 0.5;
  return [Math.max(0, low - room), high + room];
}

/** Round numbers between two, about five: 1, 2 or 5 times a power of ten apart. */
function ticks(low: number, high: number): readonly number[] {
  const raw = (high - low) / 5;
  if (!(raw > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw)! * power;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

const place = (value: number): string => String(Number(value.toFixed(1)));
const number = (value: number): string => String(Number(value.toPrecision(4)));
const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
