/** Writes a GGUF file again with all matrices in one format: `node requantize.js MODEL TARGET Q8_0|F16`. A few rows are in memory at a time. */
interface Format {
  readonly name: string;
  readonly blockSize: number;
  readonly blockBytes: number;
  decode(bytes: Uint8Array, values: Float32Array): void;
  readonly encode?: (values: Float32Array, bytes: Uint8Array) => void;
}
interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly format: Format;
  readonly source: { read(offset: number, length: number): Promise<Uint8Array> };
  readonly offset: number;
  readonly byteLength: number;
}
interface Contents {
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly types: ReadonlyMap<string, unknown>;
}

const part = async (path: string): Promise<unknown> => import(new URL(`../../dist/${path}`, import.meta.url).href);
const { openGguf } = (await part("formats/gguf/split.js")) as {
  openGguf(path: string): Promise<Contents & { readonly tensors: ReadonlyMap<string, Tensor>; close(): Promise<void> }>;
};
const { writeGguf } = (await part("formats/gguf/write.js")) as {
  writeGguf(path: string, contents: Contents & { readonly tensors: Iterable<object> }): Promise<void>;
};
const { formatByName } = (await part("tensor/formats/index.js")) as { formatByName(name: string): Format };

/** Rows of about this many values are converted together. */
const valuesTogether = 1 << 20;
/** Of GGUF's `general.file_type`, what readers show. */
const fileTypes: Readonly<Record<string, number>> = { F16: 1, Q8_0: 7 };

/** Vectors stay as they are, and so do matrices whose rows are not whole blocks. */
const fits = ({ shape }: Tensor, { blockSize }: Format): boolean => shape.length > 1 && shape.at(-1)! % blockSize === 0;

async function* unchanged({ source, offset, byteLength }: Tensor): AsyncGenerator<Uint8Array> {
  yield await source.read(offset, byteLength);
}

async function* converted(tensor: Tensor, format: Format): AsyncGenerator<Uint8Array> {
  const width = tensor.shape.at(-1)!;
  const rows = tensor.shape.reduce((n, size) => n * size, 1) / width;
  const bytesOf = ({ blockSize, blockBytes }: Format, count: number): number => (count / blockSize) * blockBytes;
  const most = Math.max(1, Math.floor(valuesTogether / width));
  for (let row = 0; row < rows; row += most) {
    const count = Math.min(most, rows - row) * width;
    const values = new Float32Array(count);
    tensor.format.decode(
      await tensor.source.read(tensor.offset + bytesOf(tensor.format, row * width), bytesOf(tensor.format, count)),
      values,
    );
    const bytes = new Uint8Array(bytesOf(format, count));
    format.encode!(values, bytes);
    yield bytes;
  }
}

const [from = "", target = "", formatName = ""] = process.argv.slice(2);
const wanted = formatByName(formatName);
const file = await openGguf(from);
await writeGguf(target, {
  metadata: new Map([...file.metadata, ["general.file_type", fileTypes[formatName]!]]),
  types: file.types,
  tensors: [...file.tensors.values()].map((tensor) => {
    const { name, shape } = tensor;
    if (!fits(tensor, wanted)) return { name, shape, format: tensor.format, bytes: unchanged(tensor) };
    return { name, shape, format: wanted, bytes: converted(tensor, wanted) };
  }),
});
await file.close();
