/** `load` of the public interface. */
export { type AdapterSource, load, type LoadOptions } from "./techniques/load.ts";
