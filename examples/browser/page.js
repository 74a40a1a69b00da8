// @ts-check
// The page: loads the embedded model (or another), writes, stops, and says what it takes. Everything it uses of Frugal is imported here.
import { deleteStored, load, storageReport, storedModels } from "./frugal/frugal.js";
import { prepareOffline } from "./offline.js";

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
const element = (id) => {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`page: there is no element ${id}`);
  return /** @type {T} */ (found);
};
/** @param {string} id */
const input = (id) => /** @type {HTMLInputElement} */ (element(id));
const [write, stop] = [/** @type {HTMLButtonElement} */ (element("write")), /** @type {HTMLButtonElement} */ (element("stop"))];
const progress = /** @type {HTMLProgressElement} */ (element("progress"));

/** @type {Awaited<ReturnType<typeof load>> | undefined} */
let model;
/** @type {AbortController | undefined} */
let running;
let loadings = 0;

/** @param {number} bytes */
const inMegabytes = (bytes) => `${(bytes / 1e6).toLocaleString(undefined, { maximumFractionDigits: bytes < 1e7 ? 1 : 0 })} MB`;

/** @param {string} text */
const say = (text) => (element("status").textContent = text);

/** @param {unknown} [error] */
function showFault(error) {
  const fault = element("fault");
  fault.hidden = error === undefined;
  fault.textContent = error instanceof Error ? error.message : String(error ?? "");
}

/**
 * Loads a model in place of the one that is there. The last one asked for stays.
 * @param {Parameters<typeof load>[0]} source
 */
async function use(source) {
  const turn = ++loadings;
  running?.abort();
  write.disabled = true;
  showFault();
  say("Loading the model");
  const before = model;
  model = undefined;
  await before?.dispose();
  try {
    const loaded = await load(source, {
      onProgress: ({ stage, done, total }) => {
        progress.hidden = stage !== "download";
        progress.max = total;
        progress.value = done;
        say(stage === "download" ? `Downloading: ${inMegabytes(done)} of ${inMegabytes(total)}` : "Reading the weights");
      },
    });
    if (turn !== loadings) return void (await loaded.dispose());
    model = loaded;
    const { memory } = await loaded.inspect();
    element("memory").textContent = memory === undefined ? "–" : inMegabytes(memory.weights + memory.arena + memory.cache);
    element("backend").textContent = `${loaded.name}: ${loaded.backend.description}`;
    element("threads").textContent = /(\d+) threads?/.exec(loaded.backend.description)?.[1] ?? "1";
    write.disabled = false;
    say("Ready");
  } catch (error) {
    if (turn !== loadings) return;
    say("No model is loaded");
    showFault(error);
  } finally {
    if (turn === loadings) progress.hidden = true;
    void showStored();
  }
}

async function tell() {
  if (model === undefined || running !== undefined) return;
  const prompt = input("beginning").value;
  const answers = input("task").value === "answer";
  const controller = new AbortController();
  running = controller;
  [write.disabled, stop.disabled] = [true, false];
  showFault();
  const story = element("story");
  story.hidden = false;
  story.setAttribute("aria-busy", "true");
  element("given").textContent = answers ? "" : prompt;
  const written = element("written");
  written.textContent = "";
  say("Writing");
  const options = {
    maxTokens: Number(input("tokens").value),
    temperature: Number(input("temperature").value),
    topP: 0.95,
    ...(input("seed").value === "" ? {} : { seed: Number(input("seed").value) }),
    signal: controller.signal,
  };
  const began = performance.now();
  let count = 0;
  try {
    const run = answers ? model.chat([{ role: "user", content: prompt }], options) : model.generate(prompt, options);
    for await (const { text } of run) {
      written.append(text);
      count++;
      if (count === 1) element("first").textContent = `${Math.round(performance.now() - began)} ms`;
    }
    const { timings, seed, ids } = await run;
    element("speed").textContent = `${timings.decodeTokensPerSecond.toFixed(1)} tokens/s`;
    say(`Done: ${ids.length} tokens, seed ${seed}`);
  } catch (error) {
    if (controller.signal.aborted) say(`Stopped after ${count} tokens`);
    else {
      say("The writing failed");
      showFault(error);
    }
  } finally {
    if (running === controller) running = undefined;
    story.removeAttribute("aria-busy");
    write.disabled = model === undefined;
    stop.disabled = true;
  }
}

async function showStored() {
  try {
    const [stored, { usage, quota, persisted }] = await Promise.all([storedModels(), storageReport()]);
    element("storage").textContent =
      `${inMegabytes(usage)} used of ${inMegabytes(quota)}${persisted ? "" : "; the browser may remove it when space is short"}`;
    const rows = stored.map(({ key, url, bytes, complete }) => {
      const row = document.createElement("li");
      const remove = document.createElement("button");
      remove.textContent = "Delete";
      remove.setAttribute("aria-label", `Delete ${url}`);
      remove.addEventListener("click", () => void deleteStored(key).then(showStored, showFault));
      row.append(`${url} (${inMegabytes(bytes)}${complete ? "" : ", not complete"})`, remove);
      return row;
    });
    element("stored").replaceChildren(...rows);
  } catch (error) {
    element("storage").textContent = error instanceof Error ? error.message : String(error);
  }
}

/** @param {FileList | null | undefined} files */
function useFile(files) {
  const file = files?.[0];
  if (file !== undefined) void use(file);
}

element("writing").addEventListener("submit", (event) => {
  event.preventDefault();
  void tell();
});
stop.addEventListener("click", () => running?.abort());
input("beginning").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void tell();
});
element("loading").addEventListener("submit", (event) => {
  event.preventDefault();
  void use(input("source").value.trim() || "stories");
});
input("file").addEventListener("change", () => useFile(input("file").files));
const drop = element("drop");
for (const [name, isOver] of /** @type {const} */ ([
  ["dragover", true],
  ["dragleave", false],
  ["drop", false],
]))
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", isOver);
    if (name === "drop") useFile(event.dataTransfer?.files);
  });
addEventListener("pagehide", () => void model?.dispose());

const offline = prepareOffline().then((text) => (element("offline").textContent = text));
if (!crossOriginIsolated) await offline; // it may reload the page, which then has threads
await use("stories");
