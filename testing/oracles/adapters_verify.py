"""Loads adapters that Frugal wrote into PEFT and prints how far its logits are from those recorded, one JSON line an adapter.

    python testing/oracles/adapters_verify.py FOLDER

FOLDER/NAME is an adapter for the base of the fixture NAME (testing/oracles/adapters.py).
"""

import json
import sys
import warnings
from pathlib import Path

import adapters
import peft
import torch
from safetensors.torch import load_file


def verify(folder):
    name = folder.name
    base, architecture, _ = adapters.ROWS[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = peft.PeftModel.from_pretrained(adapters.base_model(base, architecture), folder).eval()
    cases = load_file(adapters.FAMILIES.parent / "adapters" / name / "cases.safetensors")
    worst = float((adapters.logits_of(model)[0] - cases["logits"]).abs().max())
    words = ("missing", "unexpected", "unknown", "ignored")
    complaints = [str(each.message)[:200] for each in caught if any(word in str(each.message).lower() for word in words)]
    print(json.dumps({"name": name, "worst": worst, "complaints": complaints}), flush=True)


if __name__ == "__main__":
    torch.manual_seed(0)
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        verify(folder)
