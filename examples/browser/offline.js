// @ts-check
// Starts the service worker, which keeps the page for use without a network and gives it the headers that threads need.

/**
 * Resolves when the page is as fast and as independent as it can be here: with what to say about it. May reload the page, once, on the first
 * visit to a host that sends no headers.
 * @returns {Promise<string>}
 */
export async function prepareOffline() {
  if (!("serviceWorker" in navigator)) return "";
  try {
    await navigator.serviceWorker.register("service-worker.js", { updateViaCache: "none" });
    await navigator.serviceWorker.ready;
    if (navigator.serviceWorker.controller === null) await controlled();
    if (!crossOriginIsolated && sessionStorage.getItem("reloaded") === null) {
      sessionStorage.setItem("reloaded", "yes");
      location.reload();
      await new Promise(() => {}); // the page ends here
    }
    return "Ready to be used without a network.";
  } catch (error) {
    return `This browser does not keep the page for use without a network (${error instanceof Error ? error.message : error}).`;
  }
}

/** @returns {Promise<void>} */
function controlled() {
  return new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", () => resolve(), { once: true });
    setTimeout(resolve, 3000);
  });
}
