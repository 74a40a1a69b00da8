"""Truth for zero-cost proxies: their formulas in PyTorch, on the committed llama-3 checkpoint.

    python testing/oracles/zero_cost.py

Writes testing/fixtures/zero-cost.json: three texts, the gradient norm and SNIP (means over the texts), ZiCo over the texts, and ln SynFlow.
"""

import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from families import generator, load_model
from families_rows import ROWS

FIXTURES = Path(__file__).parent.parent / "fixtures"


def gradients(model, ids):
    model.zero_grad()
    logits = model(input_ids=ids[None], use_cache=False).logits[0, :-1]
    torch.nn.functional.cross_entropy(logits, ids[1:]).backward()
    return {name: parameter.grad.double().clone() for name, parameter in model.named_parameters()}


def synflow(model):
    config = model.config
    weights = {name: parameter.detach().double().abs().requires_grad_() for name, parameter in model.named_parameters()}
    x = torch.ones(config.hidden_size, dtype=torch.float64)
    for i in range(config.num_hidden_layers):
        w = lambda name: weights[f"model.layers.{i}.{name}.weight"]
        value = (w("self_attn.v_proj") @ (x * w("input_layernorm"))).reshape(config.num_key_value_heads, -1)
        x = x + w("self_attn.o_proj") @ value.repeat_interleave(config.num_attention_heads // config.num_key_value_heads, 0).flatten()
        h = x * w("post_attention_layernorm")
        x = x + w("mlp.down_proj") @ (w("mlp.gate_proj") @ h + w("mlp.up_proj") @ h)
    (weights["model.embed_tokens.weight"] @ (x * weights["model.norm.weight"])).sum().backward()
    return sum((w * w.grad).abs().sum() for w in weights.values() if w.grad is not None).log().item()


def main():
    model = load_model(ROWS["llama-3"], FIXTURES / "families" / "llama-3")
    texts = [torch.randint(5, ROWS["llama-3"]["config"]["vocab_size"], (8,), generator=generator(1, f"zero-cost {i}")) for i in range(3)]
    found = [gradients(model, ids) for ids in texts]
    parameters = dict(model.named_parameters())
    zico = 0.0
    for name, parameter in parameters.items():
        if parameter.ndim < 2:
            continue
        each = torch.stack([grad[name].abs() for grad in found])
        mean, deviation = each.mean(0), each.std(0, correction=0)
        layer = (mean / deviation)[deviation > 1e-6 * mean].sum()
        zico += layer.log().item() if layer > 0 else 0
    truth = {
        "texts": [ids.tolist() for ids in texts],
        "grad-norm": sum(sum(grad.norm().item() for grad in each.values()) for each in found) / len(found),
        "snip": sum(sum((grad * parameters[name]).abs().sum().item() for name, grad in each.items()) for each in found) / len(found),
        "zico": zico,
        "synflow": synflow(model),
    }
    (FIXTURES / "zero-cost.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    print(truth)


main()
