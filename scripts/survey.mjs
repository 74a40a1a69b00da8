// Writes docs/survey.md: which paper of the survey is which file, read from the records that technique files begin with.
//   node scripts/survey.mjs           writes it
//   node scripts/survey.mjs --check   exits 1 where it is not what would be written
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The survey's map, in its order (arXiv 2401.08092). */
const paths = [
  "3.1 efficient attention: sparse",
  "3.1 efficient attention: approximate",
  "3.1 efficient attention: attention-free",
  "3.2 dynamic networks: mixture of experts",
  "3.2 dynamic networks: early exit",
  "3.3 diffusion: sampling",
  "3.3 diffusion: latent",
  "3.3 diffusion: architecture",
  "3.4 vision transformers",
  "4.1 pre-training: data reduction",
  "4.1 pre-training: architecture search",
  "4.1 pre-training: progressive learning",
  "4.1 pre-training: mixed precision",
  "4.2 tuning: additive",
  "4.2 tuning: selective",
  "4.2 tuning: re-parameterised",
  "4.2 tuning: full, memory-light",
  "4.3 inference: opportunistic decoding",
  "4.3 inference: input filtering and compression",
  "4.3 inference: key-value cache",
  "4.3 inference: long context",
  "4.4 compression: pruning",
  "4.4 compression: distillation",
  "4.4 compression: quantisation",
  "4.4 compression: low rank",
  "5.1 distributed training",
  "5.2 federated learning",
  "5.3 serving on cloud",
  "5.4 serving on edge",
];

/** The records of all technique files under a folder: { file, name, title, authors, year, url, survey, changes }. */
export function techniqueRecords(root) {
  const folder = join(root, "src/techniques");
  return readdirSync(folder, { recursive: true })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .toSorted()
    .flatMap((file) => {
      const found = recordIn(readFileSync(join(folder, file), "utf8"));
      return found === undefined ? [] : [{ file: `src/techniques/${file}`, ...found }];
    });
}

/** The record in a file's text; undefined where it has none. Throws for one that is not whole. */
export function recordIn(text) {
  if (!/^\s*survey:\s*"/m.test(text)) return undefined;
  const field = (name, pattern = '"([^"]+)"') => new RegExp(`(?:^|[\\s{])${name}:\\s*${pattern}`).exec(text)?.[1];
  const record = {
    name: field("name"),
    title: field("title"),
    authors: field("authors"),
    year: Number(field("year", "(\\d{4})")),
    url: field("url"),
    survey: field("survey"),
    changes: field("changes"),
  };
  const missing = Object.entries(record).find(([key, value]) => (value === undefined && key !== "changes") || Number.isNaN(value));
  if (missing !== undefined)
    throw new Error(`survey: the technique ${record.name ?? "?"} does not say its ${missing[0]}; write it in its record`);
  if (placeOf(record.survey) === undefined) throw new Error(`survey: ${record.name} has the path "${record.survey}", which the map lacks`);
  return record;
}

/** A record may say more after a path of the map: "5.1 distributed training: communication". */
const placeOf = (survey) => paths.find((path) => survey === path || survey.startsWith(`${path}: `));

export function surveyPage(records) {
  const parts = paths.flatMap((path) => {
    const own = records
      .filter(({ survey }) => placeOf(survey) === path)
      .toSorted((a, b) => a.year - b.year || a.name.localeCompare(b.name, "en"));
    if (own.length === 0) return [];
    const rows = own.map(
      ({ name, title, authors, year, url, changes, file }) =>
        `| [\`${name}\`](../${file}) | [${title}](${url}) | ${short(authors)} ${year} | ${changes ?? ""} |`,
    );
    return [`## ${path}\n\n| technique | paper | by | changes |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n`];
  });
  return `# The survey's map\n\nWhich technique of *Resource-efficient LLM and Multimodal Foundation Models* (arXiv 2401.08092) is which file. Written by \`node scripts/survey.mjs\` from the\nrecords in the files.\n\n${parts.join("\n")}`;
}

/** "Hu et al.", "Liu, Tam", "Lester" by the family names. */
function short(authors) {
  const names = authors.split(/, /).map((name) => name.split(" ").at(-1));
  return names.length > 2 ? `${names[0]} et al.` : names.join(" and ");
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const page = surveyPage(techniqueRecords(root));
  const path = join(root, "docs/survey.md");
  if (!process.argv.includes("--check")) writeFileSync(path, page);
  else if (readFileSync(path, "utf8") !== page) {
    console.error("docs/survey.md is not what the technique files say; run: node scripts/survey.mjs");
    process.exitCode = 1;
  }
}
