"""Truth for `forward`: batches with padding, gaps in the mask and given positions, through the committed checkpoints of families.py.

    python testing/oracles/forward.py

Writes testing/fixtures/forward/NAME.safetensors: for each case CASE.input_ids, what else CASE was given, and what came out.
"""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import save_file

from families import generator, load_model
from families_rows import ROWS

FIXTURES = Path(__file__).parent.parent / "fixtures"
# One family for each way of counting positions, and a window.
NAMES = ["llama-3", "mistral-window", "gpt-2", "opt", "bloom", "bert", "roberta", "distilbert"]
LENGTH, SHORT = 7, 4


def cases_of(name, row):
    pad = row["config"].get("pad_token_id", 0)
    drawn = torch.randint(5, row["config"]["vocab_size"], (2, LENGTH), generator=generator(1, f"forward:{name}"))
    column = torch.arange(LENGTH)
    masks = {"right": column < SHORT, "left": column >= LENGTH - SHORT, "gaps": (column % 3 != 1)}
    for label, kept in masks.items():
        mask = torch.ones_like(drawn)
        mask[1] = kept
        yield label, {"input_ids": drawn.where(mask.bool(), torch.tensor(pad)), "attention_mask": mask}
    if name not in ("bloom",):
        # Decoders take positions that do not count on for several texts in one row, so only their start varies.
        positions = torch.stack([column + 3, column]) + 2
        yield "placed", {"input_ids": drawn, "position_ids": positions}


def main():
    (FIXTURES / "forward").mkdir(exist_ok=True)
    for name in NAMES:
        model = load_model(ROWS[name], FIXTURES / "families" / name)
        tensors = {}
        for label, inputs in cases_of(name, ROWS[name]):
            if name == "mistral-window" and label == "gaps":
                continue
            kwargs = dict(inputs)
            if name == "distilbert" and label == "placed":
                continue  # its implementation takes no positions
            with torch.no_grad():
                output = model(**kwargs, output_hidden_states=True)
            encoder = ROWS[name]["pooling"] is not None
            key, values = ("last_hidden_state", output.hidden_states[-1]) if encoder else ("logits", output.logits)
            for field, tensor in {**{k: v.int() for k, v in inputs.items()}, key: values.float()}.items():
                tensors[f"{label}.{field}"] = tensor.contiguous()
        save_file(tensors, FIXTURES / "forward" / f"{name}.safetensors")


main()
