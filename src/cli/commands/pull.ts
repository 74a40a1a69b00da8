/** frugal pull: downloads a model into the cache. */
import { pull as pullModel } from "../../formats/hub.ts";
import { printBytes } from "../../tensor/byte-size.ts";
import { type Command } from "../command.ts";
import { hubSettings } from "../hub-settings.ts";
import { interruptible } from "../open-model.ts";
import { printJson, printLine, progressLine } from "../output.ts";

export const pull: Command = {
  name: "pull",
  summary: "Downloads a model from the Hugging Face hub; what is there already is not fetched again, what was begun is resumed.",
  arguments: [{ label: "NAME", help: "hf:owner/name for a directory, hf:owner/name:file for one GGUF file" }],
  options: [{ name: "revision", value: { label: "NAME", kind: "text" }, help: "a branch, a tag or a commit (default: main)" }],
  notes: ["The variable FRUGAL_CACHE names another cache directory, HF_TOKEN an access token."],
  run: (given) =>
    interruptible(async (signal) => {
      const progress = progressLine();
      const revision = given.text("revision");
      const { path, bytes, commit, hashes } = await pullModel(given.arguments[0]!, {
        signal,
        ...hubSettings(),
        ...(revision === undefined ? {} : { revision }),
        onProgress: ({ file, received, total }) => progress.update(`${file}: ${printBytes(received)} of ${printBytes(total)}`),
      }).finally(() => progress.end());
      if (given.flag("json")) await printJson({ path, bytes, commit, hashes });
      else await printLine(`${path} (${printBytes(bytes)})`);
    }),
};
