"""Which format llama.cpp's llama-quantize gives each tensor, for models of empty matrices: testing/fixtures/file-types.json."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

KINDS = ["F16", "BF16", "F32", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M",
         "Q5_K_S", "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0"]

# Rows are all that counts; a matrix has two of them.
MODELS = {
    "plain": dict(layers=20, heads=8, kv=8, experts=0, width=256, hidden=512, tied=False),
    "grouped-tied": dict(layers=9, heads=8, kv=2, experts=0, width=256, hidden=256, tied=True),
    "eight-experts": dict(layers=17, heads=8, kv=2, experts=8, width=256, hidden=256, tied=False),
    "narrow": dict(layers=3, heads=8, kv=8, experts=0, width=192, hidden=256, tied=True),
    "odd": dict(layers=2, heads=8, kv=8, experts=0, width=72, hidden=100, tied=False),
}


def tensors_of(m):
    w, h = m["width"], m["hidden"]
    found = {"token_embd.weight": [2, w], "output_norm.weight": [w]}
    if not m["tied"]:
        found["output.weight"] = [2, w]
    for i in range(m["layers"]):
        found |= {f"blk.{i}.{name}.weight": shape for name, shape in {
            "attn_norm": [w], "attn_q": [2, w], "attn_k": [2, w], "attn_v": [2, w], "attn_output": [2, w], "ffn_norm": [w]}.items()}
        found[f"blk.{i}.attn_q.bias"] = [2]
        if m["experts"]:
            e = m["experts"]
            found |= {f"blk.{i}.ffn_gate_inp.weight": [e, w], f"blk.{i}.ffn_gate_exps.weight": [e, 2, w],
                      f"blk.{i}.ffn_up_exps.weight": [e, 2, w], f"blk.{i}.ffn_down_exps.weight": [e, 2, h]}
        else:
            found |= {f"blk.{i}.ffn_gate.weight": [2, w], f"blk.{i}.ffn_up.weight": [2, w], f"blk.{i}.ffn_down.weight": [2, h]}
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--llama-cpp", type=Path, required=True, help="sources, built in build/")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "fixtures" / "file-types.json")
    given = parser.parse_args()
    sys.path.insert(1, str(given.llama_cpp / "gguf-py"))
    import gguf
    import numpy

    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, m in MODELS.items():
            source = Path(folder) / f"{name}.gguf"
            metadata = {"llama.block_count": m["layers"], "llama.context_length": 64, "llama.embedding_length": m["width"],
                        "llama.feed_forward_length": m["hidden"], "llama.attention.head_count": m["heads"],
                        "llama.attention.head_count_kv": m["kv"]}
            if m["experts"]:
                metadata |= {"llama.expert_count": m["experts"], "llama.expert_used_count": 2}
            writer = gguf.GGUFWriter(source, "llama")
            for key, value in metadata.items():
                writer.add_uint32(key, value)
            writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
            writer.add_string("tokenizer.ggml.model", "none")
            shapes = tensors_of(m)
            for tensor, shape in shapes.items():
                writer.add_tensor(tensor, numpy.zeros(shape, numpy.float32))
            writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
            kinds = {}
            for kind in [*KINDS, "Q4_K_S pure", "Q6_K pure"]:
                out = Path(folder) / "out.gguf"
                short, *flags = kind.split()
                subprocess.run([given.llama_cpp / "build/bin/llama-quantize", *(f"--{flag}" for flag in flags), source, out, short, "1"],
                               check=True, capture_output=True)
                reader = gguf.GGUFReader(out)
                chosen = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
                parts = {}
                for tensor in shapes:
                    parts.setdefault(re.sub(r"^blk\.\d+\.", "blk.#.", tensor), []).append(chosen[tensor])
                # One format where it is the same in all layers, else one a layer.
                formats = {part: " ".join(all if len(set(all)) > 1 else all[:1]) for part, all in parts.items()}
                kinds[kind] = {"number": int(reader.fields["general.file_type"].parts[-1][0]), "formats": formats}
            result[name] = {"metadata": {"general.architecture": "llama"} | metadata, "kinds": kinds,
                            "shapes": {re.sub(r"^blk\.\d+\.", "blk.#.", tensor): shape for tensor, shape in shapes.items()}}
    given.out.write_text(json.dumps(result, indent=1) + "\n")


main()
