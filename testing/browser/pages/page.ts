/** A page of the harness's own test: asks its worker, and says what the page may do. */
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
worker.onmessage = ({ data }: MessageEvent<string>) => {
  document.body.textContent = `${data}, isolated: ${crossOriginIsolated}`;
};
worker.postMessage("abc");
