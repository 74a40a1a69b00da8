/** Activations as config.json names them. */
import type { ActivationKind } from "../blocks/mlp.ts";
import type { ConfigReader } from "./config-reader.ts";

const activations: Readonly<Record<string, ActivationKind>> = {
  silu: "silu",
  swish: "silu",
  gelu: "gelu",
  gelu_python: "gelu",
  gelu_new: "geluTanh",
  gelu_fast: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
  gelu_accurate: "geluTanh",
  quick_gelu: "quickGelu",
  relu: "relu",
  relu2: "relu2",
  tanh: "tanh",
  sigmoid: "sigmoid",
  linear: "identity",
};

/** The activation a key of config.json names. */
export const readActivation = (reader: ConfigReader, key: string, fallback: ActivationKind): ActivationKind =>
  reader.choice(key, activations, fallback);
