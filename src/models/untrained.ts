/** A model that nobody has trained yet: a configuration without a file of weights, and the numbers to begin with. */
import type { Weight, Weights } from "../backends/backend.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { philox } from "../tensor/random.ts";
import { type Shape, size } from "../tensor/shape.ts";
import type { ByteSource } from "../tensor/source.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import type { Checkpoint, Model } from "./family.ts";
import { openModel } from "./index.ts";

export interface Untrained {
  readonly checkpoint: Checkpoint;
  /** Its weights are where they will be written, and are zero. */
  readonly model: Model;
  /** The numbers to begin with. */
  readonly weights: Weights;
}

/**
 * The model of a `config.json`. Matrices begin with normal numbers of deviation `initializer_range` (0.02 where it is absent), those that end a
 * residual branch with as many divided by √(2 · layers) (Radford et al. 2019, GPT-2, section 2.3); norms with 1, biases with 0. Each number is a
 * function of seed, weight and place. Errors as `openModel` for what the configuration lacks.
 */
export function untrainedModel(name: string, config: Readonly<Record<string, unknown>>, seed: number): Untrained {
  const tensors = new Map<string, StoredTensor>();
  const make = (tensor: string, shape: Shape): StoredTensor => {
    const made = tensors.get(tensor) ?? zeroTensor(name, tensor, shape);
    tensors.set(tensor, made);
    return made;
  };
  // The tensors appear as they are asked for: a family that looks whether there is one must see none.
  const opened = openModel({ kind: "huggingface", name, config, tensors: new Map(), make });
  const given = config["initializer_range"];
  const deviation = typeof given === "number" && given > 0 && Number.isFinite(given) ? given : 0.02;
  const weights = new Map(
    [...opened.weights].map(([weight, { shape, content }]): [string, Weight] => [
      weight,
      weight.startsWith("rope.") ? { shape, content } : { shape, content: { values: async () => firstNumbers(weight, shape) } },
    ]),
  );
  const firstNumbers = (weight: string, shape: Shape): Float32Array => {
    if (weight.endsWith(".bias")) return new Float32Array(size(shape));
    if (shape.length === 1) return new Float32Array(size(shape)).fill(1);
    const ends = /\.(attention\.output|mlp\.down|experts\.down)$/.test(weight);
    return normalNumbers(seed, weight, size(shape), ends ? deviation / Math.sqrt(2 * opened.layers) : deviation);
  };
  return { checkpoint: { kind: "huggingface", name, config, tensors }, model: opened, weights };
}

function zeroTensor(file: string, name: string, shape: Shape): StoredTensor {
  const byteLength = 4 * size(shape);
  const source: ByteSource = {
    name: file,
    byteLength,
    read: async (_, length) => new Uint8Array(length),
    close: async () => undefined,
  };
  return { name, shape, format: formatByName("F32"), source, offset: 0, byteLength };
}

/** Two normal numbers from each counter (Box and Muller 1958). */
function normalNumbers(seed: number, name: string, count: number, deviation: number): Float32Array {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  const numbers = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const [a, b] = philox([i >>> 0, Math.floor(i / 2 ** 32), hash >>> 0, 2], [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0]);
    const radius = deviation * Math.sqrt(-2 * Math.log((a + 1) / 2 ** 32));
    const angle = (2 * Math.PI * b) / 2 ** 32;
    numbers[i] = radius * Math.cos(angle);
    if (i + 1 < count) numbers[i + 1] = radius * Math.sin(angle);
  }
  return numbers;
}
