"""Compares llama.cpp's answers on the GGUF twins with the stored truth.

    python testing/oracles/families_verify.py PROGRAM [--llama-cpp FOLDER] [--only NAME ...] [--fixtures FOLDER]

PROGRAM is llama_logits.cpp compiled. llama.cpp rounds activations to 16 bits where weights are stored in 16 bits, so with --llama-cpp every
twin is also converted to 32 bits in a scratch folder, and that is the comparison held to a tolerance.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import families_gguf
from families_rows import ROWS

TOLERANCE = 1e-4
GELU_TOLERANCE = 1e-2  # llama.cpp reads both forms of GELU from a table of 16-bit floats


def answers(program, model, kind, ids, width):
    run = subprocess.run([program, str(model), kind, *map(str, ids)], capture_output=True)
    if run.returncode != 0:
        raise RuntimeError(run.stderr.decode(errors="replace").strip()[-600:] or f"exit {run.returncode}")
    return np.frombuffer(run.stdout, dtype=np.float32).reshape(len(ids), width)


def worst(program, model, row, cases):
    kind = "hidden" if row["pooling"] else "logits"
    errors = {}
    for label in ("long", "short"):
        truth = cases[f"{label}.{'last_hidden_state' if row['pooling'] else 'logits'}"]
        got = answers(program, model, kind, cases[f"{label}.input_ids"], truth.shape[1])
        errors[label] = float(np.abs(got - truth).max())
    return errors


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--llama-cpp", type=Path)
    parser.add_argument("--only", nargs="*", choices=sorted(ROWS))
    parser.add_argument("--fixtures", type=Path, default=Path(__file__).resolve().parent.parent / "fixtures" / "families")
    options = parser.parse_args()
    failed = []
    for name in options.only or ROWS:
        folder = options.fixtures / name
        path = folder / f"{name}.gguf"
        if not path.exists():
            continue
        row, cases = ROWS[name], load_file(folder / "cases.safetensors")
        try:
            stored = worst(options.program, path, row, cases)
            exact = stored
            if options.llama_cpp and row["dtype"] != "F32":
                with tempfile.TemporaryDirectory() as scratch:
                    wide = Path(scratch) / f"{name}.gguf"
                    families_gguf.write_twin(row, folder, wide, options.llama_cpp, "f32")
                    exact = worst(options.program, wide, row, cases)
        except RuntimeError as error:
            print(f"{name:24} FAILED {error}")
            failed.append(name)
            continue
        checked = [label for label in exact if label not in row.get("llama_cpp_differs", ())]
        tolerance = GELU_TOLERANCE if "gelu" in str(row["config"].values()) or row["config"]["model_type"] in ("gpt2", "bloom") else TOLERANCE
        good = all(exact[label] <= tolerance for label in checked)
        if not good:
            failed.append(name)
        print(f"{name:24} {'agrees' if good else 'DIFFERS'} long {exact['long']:.1e} short {exact['short']:.1e} (file as stored {stored['long']:.1e})", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
