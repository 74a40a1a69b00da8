// @ts-check
/// <reference lib="webworker" />
// Keeps the page, the engine and the embedded model, all of one version, for use without a network; and adds the headers that make a page
// cross-origin isolated, so that it gets threads on hosts that send none. Other models are not its business: the engine stores those itself.

const scope = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const own = ["./", "page.js", "offline.js", "page.css", "icon.svg", "page.webmanifest"];
const list = "frugal/sizes.json"; // names all files of the bundle, with their hashes
const prefix = `stories ${scope.registration.scope} `;

const headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

scope.addEventListener("install", (event) => {
  event.waitUntil(keep().then(() => scope.skipWaiting()));
});
scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim()));
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(scope.registration.scope)) return;
  event.respondWith(answer(request));
  // Looks for a new version after the page has what it needs; it is used by the next visit.
  if (request.mode === "navigate") event.waitUntil(keep().catch(() => undefined));
});

/** Downloads all files, unless those of this version are there. A version is whole or it is not kept. */
async function keep() {
  const texts = await Promise.all([list, ...own].map(async (path) => (await download(path)).text()));
  const name = prefix + (await digest(texts.join("\0")));
  if (await caches.has(name)) return;
  const { files, assets } = JSON.parse(texts[0] ?? "");
  const paths = [list, ...own, ...[...Object.keys(files), ...Object.keys(assets)].map((file) => `frugal/${file}`)];
  const unfinished = `unfinished ${name}`;
  const cache = await caches.open(unfinished);
  await Promise.all(paths.map(async (path) => cache.put(path, await download(path))));
  const whole = await caches.open(name);
  for (const request of await cache.keys()) await whole.put(request, /** @type {Response} */ (await cache.match(request)));
  for (const other of await caches.keys()) if (other !== name && other.includes(prefix)) await caches.delete(other);
}

/** @param {string} path */
async function download(path) {
  const response = await fetch(path, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${path}: status ${response.status}`);
  return response;
}

/** @param {string} text */
async function digest(text) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * From the version that is kept, else from the network.
 * @param {Request} request
 */
async function answer(request) {
  for (const name of await caches.keys()) {
    if (!name.startsWith(prefix)) continue;
    const kept = await (await caches.open(name)).match(request, { ignoreSearch: true });
    if (kept !== undefined) return withHeaders(await part(kept, request.headers.get("range")));
  }
  return withHeaders(await fetch(request));
}

/**
 * The range of a kept file that is asked for, as a server would answer: caches know none.
 * @param {Response} kept
 * @param {string | null} range
 */
async function part(kept, range) {
  const asked = /^bytes=(\d+)-(\d*)$/.exec(range ?? "");
  if (asked === null) return kept;
  const whole = await kept.blob();
  const start = Number(asked[1]);
  const end = asked[2] === "" ? whole.size : Math.min(whole.size, Number(asked[2]) + 1);
  if (start >= end) return new Response(null, { status: 416, headers: { "content-range": `bytes */${whole.size}` } });
  const bounds = { "content-range": `bytes ${start}-${end - 1}/${whole.size}`, "content-length": String(end - start) };
  return new Response(whole.slice(start, end), { status: 206, headers: { ...Object.fromEntries(kept.headers), ...bounds } });
}

/** @param {Response} response */
function withHeaders(response) {
  if (response.type === "opaque" || response.type === "error" || response.status === 0) return response;
  const all = new Headers(response.headers);
  for (const [name, value] of Object.entries(headers)) all.set(name, value);
  const empty = [101, 204, 205, 304].includes(response.status);
  return new Response(empty ? null : response.body, { status: response.status, statusText: response.statusText, headers: all });
}
