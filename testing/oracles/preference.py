"""Losses of direct preference optimisation on the tiny llama-3 checkpoint, by transformers and a few lines of PyTorch.

Writes testing/fixtures/preference.json. See testing/oracles/README.md for how to run.
"""
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

root = Path(__file__).resolve().parent.parent
beta, rate, steps = 0.3, 1e-3, 4
# prompt length, chosen, rejected: the prompt's ids come first in both.
pairs = [
    (3, [5, 9, 40, 77, 12, 8], [5, 9, 40, 31, 3]),
    (2, [60, 7, 22, 90], [60, 7, 101, 14, 55, 2]),
]


def log_probability(model, ids, prompt):
    logits = model(torch.tensor([ids])).logits[0, :-1]
    taken = F.log_softmax(logits, -1).gather(1, torch.tensor(ids[1:]).unsqueeze(1)).squeeze(1)
    return taken[prompt - 1 :].sum()


model = AutoModelForCausalLM.from_pretrained(root / "fixtures/families/llama-3", torch_dtype=torch.float32)
with torch.no_grad():
    reference = [(log_probability(model, c, p).item(), log_probability(model, r, p).item()) for p, c, r in pairs]
optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
losses = []
for _ in range(steps):
    margins = []
    for (p, c, r), (c0, r0) in zip(pairs, reference):
        margins.append(beta * (log_probability(model, c, p) - c0 - log_probability(model, r, p) + r0))
    loss = -F.logsigmoid(torch.stack(margins)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
out = {"beta": beta, "rate": rate, "pairs": [{"prompt": p, "chosen": c, "rejected": r} for p, c, r in pairs], "losses": losses}
(root / "fixtures/preference.json").write_text(json.dumps(out) + "\n")
print(losses)
