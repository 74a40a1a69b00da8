"""Truth for whole trainings: the losses of tiny models over some steps of PyTorch's AdamW, everything trained.

    python testing/oracles/trajectories.py

Writes testing/fixtures/training/trajectory-NAME.safetensors for some of the checkpoints of families.py. Each step learns from two texts of different
lengths, with the mean of the cross-entropy over both, a cosine schedule with warm-up, decay, and clipping by the global norm.
"""

import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from safetensors.torch import save_file

from families import generator, load_model
from families_rows import ROWS

FIXTURES = Path(__file__).parent.parent / "fixtures"
STEPS = 12
LENGTHS = [9, 17, 5, 13, 2, 11]
RATE, DECAY, CLIP, WARM_UP = 4e-3, 0.1, 1.0, 2


def train(name):
    model = load_model(ROWS[name], FIXTURES / "families" / name)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    texts = [torch.randint(5, ROWS[name]["config"]["vocab_size"], (length,), generator=generator(1, f"trajectory:{length}")) for length in LENGTHS]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=DECAY)
    schedule = transformers.get_scheduler("cosine", optimizer, num_warmup_steps=WARM_UP, num_training_steps=STEPS + 2)
    losses, norms = [], []
    for step in range(STEPS):
        used = [texts[(2 * step + i) % len(texts)] for i in range(2)]
        total = sum(torch.nn.functional.cross_entropy(model(ids[None, :-1]).logits[0], ids[1:], reduction="sum") for ids in used)
        loss = total / sum(len(ids) - 1 for ids in used)
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP))
        losses.append(loss.detach())
        optimizer.step()
        schedule.step()
    tensors = {f"text.{i}": ids.int() for i, ids in enumerate(texts)}
    tensors |= {"losses": torch.stack(losses), "norms": torch.stack(norms), "final.norm": model.model.norm.weight.detach().clone()}
    settings = {"steps": STEPS, "rate": RATE, "weightDecay": DECAY, "clip": CLIP, "warmUpSteps": WARM_UP}
    save_file(tensors, FIXTURES / "training" / f"trajectory-{name}.safetensors", metadata={"settings": json.dumps(settings)})
    print(name, [round(float(loss), 4) for loss in losses], [round(float(norm), 2) for norm in norms])


if __name__ == "__main__":
    for each in ("llama-2", "llama-3"):
        train(each)
