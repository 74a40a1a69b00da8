"""Truth for the storage formats: what gguf-py decodes and encodes, and what ggml's own quantizers make where gguf-py has none.

    python testing/oracles/formats.py --ggml PATH/TO/libggml-base.so [--out testing/fixtures/formats]

Writes one JSON file a format: `decode` holds blocks and their values, `encode` the blocks made of values.json ("by" says whose they are).
Arrays are base64 of little-endian bytes. The values cover zeros, a constant, ties, outliers, tiny scales and large ones.
"""

import argparse
import base64
import ctypes
import json
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

# Offsets of the half-precision scales in a block.
HALVES = {
    "F16": [], "BF16": [], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
    "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [], "TQ1_0": [52], "TQ2_0": [64],
}
BY_GGML = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"]
# The largest, the smallest subnormal, the largest subnormal, negative, zeros of both signs, ordinary ones.
SCALES = np.array([65504, 2.0**-24, 1023 * 2.0**-24, -0.0123, 0.0, -0.0, 0.0417, 1.0], dtype=np.float16)


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def blocks(name, size, random):
    rows = random.integers(0, 256, (8, size), dtype=np.uint8)
    rows[3], rows[6] = 0xFF, 0
    for position, offset in enumerate(HALVES[name]):
        rows[:, offset:offset + 2] = np.roll(SCALES, 3 * position).reshape(8, 1).view(np.uint8)
    if name == "MXFP4":
        rows[:, 0] = [0, 1, 2, 120, 127, 200, 253, 254]
    return rows


def values(random):
    rows = random.standard_normal((12, 256)).astype(np.float32)
    rows[1] = random.laplace(0, 0.02, 256)
    rows[2] = 0
    rows[3] = 0.375
    rows[4] = random.integers(-16, 17, 256) / 2  # ties in every format that divides by a power of two
    rows[5] *= 0.01
    rows[5, ::37] *= 60
    rows[6] *= 2e-6  # scales are subnormal halves
    rows[7] *= 10000
    rows[8] = np.abs(rows[8]) + 3  # all above zero
    rows[9] = random.integers(-1, 2, 256) * np.float32(0.7)
    rows[10, 32:] = 0
    rows[11] = random.standard_t(3, 256) * 0.03
    return rows


def by_ggml(library, kind, rows):
    block, size = GGML_QUANT_SIZES[kind]
    out = np.zeros((rows.shape[0], rows.shape[1] // block * size), dtype=np.uint8)
    library.ggml_quantize_chunk(ctypes.c_int(kind), rows.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(0),
                                ctypes.c_int64(rows.shape[0]), ctypes.c_int64(rows.shape[1]), None)
    return out


def halves(random):
    """Every way a float32 meets a half: exact, between two, on ties to either side, subnormal, at the ends."""
    exact = np.arange(0, 0x7C00, 97, dtype=np.uint16).view(np.float16).astype(np.float32)
    following = (np.arange(0, 0x7C00, 97, dtype=np.uint16) + 1).view(np.float16).astype(np.float32)
    ties = (exact[:-1] + following[:-1]) / 2
    near = np.concatenate([np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(1e9))])
    ends = np.array([65519.996, 65504, 2.0**-25, np.nextafter(np.float32(2.0**-25), np.float32(1)), 2.0**-26, 2.0**-14, 2.0**-149, 0], dtype=np.float32)
    either = np.concatenate([exact, ties, near, ends]).astype(np.float32)
    return np.concatenate([either, -either])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ggml", required=True)
    parser.add_argument("--out", default="testing/fixtures/formats")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    library = ctypes.CDLL(arguments.ggml)
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    random = np.random.default_rng(20)

    def write(name, content):
        (out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")

    rows = values(random)
    write("values", {"values": text(rows)})
    for name in HALVES:
        kind = GGMLQuantizationType[name]
        block, size = GGML_QUANT_SIZES[kind]
        content = {"format": name, "gguf_type": int(kind), "block_size": block, "block_bytes": size}
        if block == 1:
            source = halves(random)
            encoded = quantize(source, kind).view(np.uint8)
            content["encode"] = {"by": "gguf-py", "values": text(source), "bytes": text(encoded)}
            content["decode"] = {"bytes": text(encoded), "values": text(dequantize(encoded, kind))}
        else:
            stored = blocks(name, size, random)
            with np.errstate(all="ignore"):
                content["decode"] = {"bytes": text(stored), "values": text(dequantize(stored, kind))}
            encoded = by_ggml(library, kind, rows)
            if name not in BY_GGML:
                by_python = quantize(rows, kind)
                assert (by_python == encoded).all(), f"{name}: gguf-py and ggml differ"
            content["encode"] = {"by": "ggml" if name in BY_GGML else "gguf-py", "bytes": text(encoded)}
        write(name, content)


if __name__ == "__main__":
    main()
