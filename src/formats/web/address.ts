/** Addresses that can be downloaded from. */
import { FrugalError } from "../../tensor/error.ts";

/** The absolute form, without a fragment; relative ones count from the page. Throws FRUGAL_BAD_ARGUMENT. */
export function checkedUrl(url: string | URL): string {
  const bad = (wrong: string): FrugalError => new FrugalError("FRUGAL_BAD_ARGUMENT", `store: ${JSON.stringify(String(url))} ${wrong}`, {});
  const here = (globalThis as { location?: { href?: string } }).location?.href;
  if (!URL.canParse(String(url), here)) throw bad("is no URL; give one, or a path that counts from the page");
  const parsed = new URL(String(url), here);
  if (parsed.protocol !== "http:" && parsed.protocol !== "https:") throw bad("is not fetched by HTTP; for a Blob or a File use blobSource");
  if (parsed.username !== "" || parsed.password !== "") throw bad("holds a password; pass it in headers");
  parsed.hash = "";
  return parsed.href;
}
