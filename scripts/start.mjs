// npm start: sets up, then runs a model: npm start -- [MODEL [PROMPT] [options of `frugal run`]]. Without MODEL the embedded one tells a story.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setupOrExit } from "./setup.mjs";

const help = `
That was the model that comes along: 3 MB, trained by Frugal on children's stories. More of it, and others:

  npm start -- stories                        your beginnings, one after the other
  npm start -- stories "There was a red car"  one beginning
  npm start -- MODEL                          chat with another model
  bin/frugal --help                           everything else

MODEL is a .gguf file, a directory in Hugging Face layout (config.json, *.safetensors, tokenizer.json),
or hf:owner/name[:file] to download one.
`;
const beginning = "Once upon a time";
const story = ["stories", beginning, "--temperature", "0.7", "--top-p", "0.95", "--max-tokens", "300"];

const options = process.argv.slice(2);
setupOrExit();
if (options.length === 0) process.stdout.write(beginning); // the model goes on
const frugal = fileURLToPath(new URL("../bin/frugal", import.meta.url));
const run = spawn(process.execPath, [frugal, "run", ...(options.length === 0 ? story : options)], { stdio: "inherit" });
process.on("SIGINT", () => {}); // the terminal sends it to the child too, which decides what it means
process.on("SIGTERM", () => run.kill("SIGTERM"));
run.on("exit", (code, signal) => {
  process.exitCode = code ?? (signal ? 1 : 0);
  if (options.length === 0 && process.exitCode === 0) console.log(help);
});
