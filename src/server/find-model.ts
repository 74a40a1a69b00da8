/** From the name in a request to a model, and an adapter of it. */
import type { FrugalModel } from "../serving/model.ts";
import { nearest } from "../tensor/error.ts";
import type { ServerContext } from "./context.ts";
import { HttpError } from "./errors.ts";

export interface Target {
  /** As the answer calls it. */
  readonly name: string;
  readonly model: FrugalModel;
  /** The name of an adapter that is loaded beside the model. */
  readonly adapter?: string;
}

/** Adapters that requests may ask for as if they were models. */
export const adaptersOf = ({ adapters }: FrugalModel): ReturnType<FrugalModel["adapters"]["list"]> => adapters.list();

/** @throws HttpError 404 that names the nearest. */
export function findModel({ models }: ServerContext, name: string | null | undefined): Target {
  if (name === undefined || name === null || name === "default") return models[0]!;
  const base = models.find((served) => served.name === name);
  if (base !== undefined) return base;
  for (const { model } of models) if (adaptersOf(model).some((adapter) => adapter.name === name)) return { name, model, adapter: name };
  const names = models.flatMap((served) => [served.name, ...adaptersOf(served.model).map((adapter) => adapter.name)]);
  const near = nearest(name, names);
  throw new HttpError(
    404,
    `model: there is no ${JSON.stringify(name.slice(0, 200))}; ${near === undefined ? `ask for ${["default", ...names.slice(0, 20)].join(" or ")}` : `did you mean ${near}?`}`,
    { code: "model_not_found", param: "model" },
  );
}

/** As `findModel`; where the request leaves the choice to us, the first encoder. */
export function findEncoder(context: ServerContext, name: string | null | undefined): Target {
  if (name !== undefined && name !== null && name !== "default") return findModel(context, name);
  return context.models.find(({ model }) => model.kind === "encoder") ?? findModel(context, name);
}
