/** What the environment says about the hub: FRUGAL_CACHE (cache directory), HF_TOKEN (access), HF_ENDPOINT (a mirror). */
import { joinPath } from "../formats/files.ts";
import type { HubSettings } from "../models/open-checkpoint.ts";

export function hubSettings(environment: NodeJS.ProcessEnv = process.env): HubSettings {
  const { FRUGAL_CACHE: cache, HF_TOKEN: token, HF_ENDPOINT: endpoint } = environment;
  return {
    ...(cache ? { cacheDirectory: joinPath(cache, "hub") } : {}),
    ...(token ? { token } : {}),
    ...(endpoint ? { endpoint } : {}),
  };
}
