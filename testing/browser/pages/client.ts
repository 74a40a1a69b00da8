/** A page that has all of `frugal/browser` at hand, for tests that ask it from outside. */
import * as frugal from "../../../src/browser/index.ts";

Object.assign(globalThis, { frugal });
document.title = "ready";
