/** A model that was opened, whoever wants to run or to train it. */
import type { Backend } from "../backends/backend.ts";
import type { Model } from "./family.ts";
import type { OpenedCheckpoint } from "./open-checkpoint.ts";

export interface BaseModel {
  readonly opened: OpenedCheckpoint;
  readonly model: Model;
  readonly backend: Backend;
}
