"""Truth for NF4 from bitsandbytes: blocks of the values in values.json and of awkward ones, and their doubly quantised scales.

    python testing/oracles/formats_nf4.py [--out FOLDER]

Writes NF4.json like formats.py's files, a block being the F32 scale and then the 32 bytes of codes, and NF4-double.json: 8-bit codes of the
scales of 500 blocks with their own scales (one for 256) and offset, the 256 levels, and the scales restored from them.
"""

import argparse
import base64
import json
from pathlib import Path

import numpy as np
import torch
from bitsandbytes import functional

text = lambda array: base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
quantize = lambda values, double: functional.quantize_4bit(torch.from_numpy(values), blocksize=64, quant_type="nf4", compress_statistics=double)


def blocks(values):
    codes, state = quantize(values, False)
    scales = state.absmax.numpy().astype("<f4").view(np.uint8).reshape(-1, 4)
    return np.concatenate([scales, codes.numpy().reshape(-1, 32)], axis=1), functional.dequantize_4bit(codes, state).numpy()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "fixtures/formats")
    out = parser.parse_args().out
    random = np.random.default_rng(64)
    common = np.frombuffer(base64.b64decode(json.loads((out / "values.json").read_text())["values"]), np.float32).copy()
    some = random.standard_normal((12, 64)).astype(np.float32) * np.float32(10) ** random.integers(-30, 30, (12, 1)).astype(np.float32)
    some[3] = 0
    some[4, 1:] = 0
    bytes_, values = blocks(some.reshape(-1))
    encoded, _ = blocks(common)
    content = {"format": "NF4", "block_size": 64, "block_bytes": 36, "decode": {"bytes": text(bytes_), "values": text(values)},
               "encode": {"by": "bitsandbytes", "bytes": text(encoded)}}
    (out / "NF4.json").write_text(json.dumps(content, indent=1) + "\n")
    numbers = (random.standard_normal((500, 64)) * random.uniform(0.01, 3, (500, 1))).astype(np.float32)
    scales = np.abs(numbers).max(axis=1)
    _, state = quantize(numbers.reshape(-1), True)
    restored = functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
    content = {"scales": text(scales), "codes": text(state.absmax.numpy()), "code_scales": text(state.state2.absmax.numpy()),
               "offset": text(state.offset.numpy().reshape(1)), "levels": text(state.state2.code.numpy()), "restored": text(restored.numpy())}
    (out / "NF4-double.json").write_text(json.dumps(content, indent=1) + "\n")
