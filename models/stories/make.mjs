// Makes the embedded story model: trains by recipe.json (35 minutes on two cores; an interrupted training goes on), writes it quantised,
// and says how good it is. `node models/stories/make.mjs`; with --skip-training only what follows the training.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setupOrExit } from "../../scripts/setup.mjs";

setupOrExit();
const path = (place) => fileURLToPath(new URL(place, import.meta.url));
const frugal = path("../../bin/frugal");
const trained = path("build");
const file = path("stories.gguf");
const held = path("../../../shared/data/text/tinystories/val_cased.txt");

/** Runs `frugal`; ends this program where it fails. */
function run(args, options = {}) {
  const { status, stdout } = spawnSync(process.execPath, [frugal, ...args], { stdio: ["ignore", "pipe", 2], encoding: "utf8", ...options });
  if (status !== 0) process.exit(status ?? 1);
  return stdout;
}

if (!process.argv.includes("--skip-training"))
  run(["train", path("recipe.json"), ...(existsSync(path("build/checkpoints")) ? ["--resume"] : [])], { stdio: "inherit" });
copyFileSync(path("build/curve.svg"), path("curve.svg"));

const { exportGguf } = await import("../../dist/index.js");
await exportGguf(trained, file, {
  format: "Q8_0",
  metadata: {
    "general.name": "stories",
    "general.author": "Frugal",
    "general.description": "Writes short stories in the words of small children, in English",
    "general.license": "apache-2.0",
    "general.source.url": "https://huggingface.co/datasets/roneneldan/TinyStories",
    // A conversation is one beginning after the other: each is gone on with, whatever came before.
    "tokenizer.chat_template": "{{ bos_token }}{{ messages[-1]['content'] }}",
  },
});
console.log(`${file}: ${statSync(file).size} bytes`);

for (const model of [trained, file]) {
  const { perplexity, standard_error: error, tokens } = JSON.parse(run(["perplexity", model, held, "--context", "512", "--json"]));
  console.log(`${model}: perplexity ${perplexity.toFixed(3)} ± ${error.toFixed(3)} on ${tokens} tokens of held-out stories`);
}
for (const [prompt, ...options] of [
  ["Once upon a time"],
  ["Once upon a time", "--temperature", "0.7", "--top-p", "0.95", "--seed", "1"],
  ["Tom had a red boat", "--temperature", "0.7", "--top-p", "0.95", "--seed", "2"],
]) {
  const { text } = JSON.parse(run(["run", "stories", prompt, "--max-tokens", "250", ...options, "--json"]));
  console.log(`\n${prompt} ${options.join(" ")}\n> ${prompt}${text}`);
}
