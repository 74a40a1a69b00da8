/** The backend that runs things where nobody brings one: native where it was built, else reference. Each is loaded only when it is wanted. */
import { FrugalError, nearest } from "../tensor/error.ts";
import type { Backend } from "./backend.ts";

export type BackendName = "native" | "reference";

export interface BackendChoice {
  /** Default: native where it was built, else reference. */
  readonly backend?: BackendName | Backend | undefined;
  /** Threads that compute together. Default: as many as this process may use. */
  readonly threads?: number | undefined;
}

const backendNames: readonly BackendName[] = ["native", "reference"];

/** @throws FRUGAL_BAD_ARGUMENT for an unknown name, FRUGAL_UNSUPPORTED where native is asked for and not there. */
export async function chooseBackend({ backend, threads }: BackendChoice): Promise<Backend> {
  if (typeof backend === "object") return backend;
  if (backend !== undefined && !backendNames.includes(backend)) {
    const near = nearest(String(backend), backendNames);
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `load: there is no backend ${JSON.stringify(backend)}; ${near === undefined ? `there are ${backendNames.join(", ")}` : `did you mean ${near}?`}`,
      { backend },
    );
  }
  let reason = "";
  if (backend !== "reference") {
    const { createNativeBackend } = await import("./native/backend.ts");
    const native = createNativeBackend(threads === undefined ? {} : { threads });
    if ("backend" in native) return native.backend;
    if (backend === "native")
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        `load: the native backend is not there: ${native.reason}; build it with npm run setup, or choose reference`,
      );
    reason = native.reason;
  }
  const { createReferenceBackend } = await import("./reference/backend.ts");
  const reference = createReferenceBackend();
  return reason === "" ? reference : { ...reference, description: `${reference.description}; native is not there: ${reason}` };
}
