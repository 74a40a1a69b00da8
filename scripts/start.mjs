// npm start: sets up, then runs a model: npm start -- MODEL [PROMPT] [options of `frugal run`].
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setupOrExit } from "./setup.mjs";

const help = `
Frugal is set up. Name a model to run it:

  npm start -- MODEL                      chat in the terminal
  npm start -- MODEL "Once upon a time"   one answer
  bin/frugal --help                       everything else

MODEL is a .gguf file, a directory in Hugging Face layout (config.json, *.safetensors, tokenizer.json),
or hf:owner/name[:file] to download one.
`;

const options = process.argv.slice(2);
setupOrExit();
if (options.length === 0) console.log(help);
else {
  const frugal = fileURLToPath(new URL("../bin/frugal", import.meta.url));
  const run = spawn(process.execPath, [frugal, "run", ...options], { stdio: "inherit" });
  process.on("SIGINT", () => {}); // the terminal sends it to the child too, which decides what it means
  process.on("SIGTERM", () => run.kill("SIGTERM"));
  run.on("exit", (code, signal) => (process.exitCode = code ?? (signal ? 1 : 0)));
}
