"""Truth for differentiation: gradients of the committed checkpoints of families.py, as PyTorch's autograd gives them.

    python testing/oracles/families_gradients.py [--only NAME ...] [--fixtures FOLDER]

Reads FOLDER/NAME/{model.safetensors, cases.safetensors} and writes FOLDER/NAME/gradients.safetensors. The README beside this file says
what is differentiated and which numbers are kept.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from safetensors.torch import load_file, save_file

from families import load_model
from families_rows import ROWS

LARGEST, SPACED = 8, 8


def pattern(count):
    """Weights between -1 and 1 that differ from element to element: Knuth's multiplicative hash of the index."""
    hashed = (torch.arange(1, count + 1, dtype=torch.int64) * 2654435761) % 2**32
    return hashed.double() / 2**31 - 1


def weighted(rows):
    """The sum of all numbers of the cases, one after the other, each times its weight of the pattern."""
    values = torch.cat([each.reshape(-1) for each in rows])
    return (values * pattern(len(values)).float()).sum()


def loss_of(row, model, cases):
    labels = [label for label in ("long", "short", "typed") if f"{label}.input_ids" in cases]
    if not row["cross"]:
        labels = ["long"]
    inputs = [{"input_ids": cases[f"{label}.input_ids"].long()[None], **({"token_type_ids": cases["typed.token_type_ids"].long()[None]} if label == "typed" else {})}
              for label in labels]
    if not row["pooling"]:
        return weighted([model(**each, use_cache=False).logits for each in inputs])
    outputs = [getattr(model, model.base_model_prefix, model)(**each) for each in inputs]
    hidden = [output.last_hidden_state[0] for output in outputs]
    pooled = [each.mean(0) if row["pooling"] == "mean" else each[0] for each in hidden]
    loss = weighted(hidden) + weighted([each / each.norm() for each in pooled])
    if getattr(outputs[0], "pooler_output", None) is not None:
        loss = loss + weighted([output.pooler_output for output in outputs])
    return loss


def as_stored(model):
    """The gradients under the names and in the layout of the checkpoint: saved in the weights' place by the same program."""
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.zero_()
        for parameter, gradient in gradients:
            if gradient is not None:
                parameter.copy_(gradient)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        return load_file(Path(scratch) / "model.safetensors")


def summary(gradients):
    """In the order of the names: Euclidean lengths, products with the pattern, and chosen elements."""
    kept = {"norms": [], "products": [], "positions": [], "values": []}
    for name in sorted(gradients):
        flat = gradients[name].reshape(-1)
        largest = flat.abs().argsort(descending=True, stable=True)[:LARGEST]
        positions = torch.cat([largest.repeat(LARGEST)[:LARGEST], (2 * torch.arange(SPACED) + 1) * len(flat) // (2 * SPACED)])
        kept["norms"].append(flat.double().norm().float())
        kept["products"].append((flat.double() * pattern(len(flat))).sum().float())
        kept["positions"].append(positions.int())
        kept["values"].append(flat[positions])
    return {key: torch.stack(value).contiguous() for key, value in kept.items()}


def write_gradients(name, folder):
    model = load_model(ROWS[name], folder)
    loss_of(ROWS[name], model, load_file(folder / "cases.safetensors")).backward()
    gradients = as_stored(model)
    if sorted(gradients) != sorted(load_file(folder / "model.safetensors")):
        raise SystemExit(f"families_gradients: {name}: the gradients are not named as the weights")
    kept = summary(gradients)
    save_file(kept, folder / "gradients.safetensors")
    print(f"{name:24} {len(kept['norms']):4} tensors  {(folder / 'gradients.safetensors').stat().st_size // 1024} KiB  "
          f"lengths {kept['norms'].min():.1e} to {kept['norms'].max():.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", choices=sorted(ROWS), help="names of rows; all without it")
    parser.add_argument("--fixtures", type=Path, default=Path(__file__).resolve().parent.parent / "fixtures" / "families")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in options.only or ROWS:
        write_gradients(name, options.fixtures / name)


if __name__ == "__main__":
    main()
