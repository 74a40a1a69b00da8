/** The embedded model in a Vite project: load once, write as often as asked, stop when asked. */
import { FrugalError, load } from "frugal/browser";

const form = document.querySelector("form")!;
const status = document.querySelector("[role=status]")!;
const story = document.querySelector("#story")!;
let writing = new AbortController();

const model = await load("stories", { onProgress: ({ stage, done, total }) => (status.textContent = `${stage}: ${done} of ${total}`) });
status.textContent = `Ready: ${model.backend.description}`;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  writing.abort();
  writing = new AbortController();
  const { signal } = writing;
  const beginning = String(new FormData(form).get("beginning"));
  story.textContent = beginning;
  try {
    const run = model.generate(beginning, { maxTokens: 100, temperature: 0.7, signal });
    for await (const { text } of run) story.append(text);
    const { ids, timings } = await run;
    status.textContent = `Done: ${ids.length} tokens, ${timings.decodeTokensPerSecond.toFixed(0)} a second`;
  } catch (error) {
    if (!signal.aborted) status.textContent = error instanceof FrugalError ? `${error.code}: ${error.message}` : String(error);
  }
});
form.elements.namedItem("stop")?.addEventListener("click", () => writing.abort());
