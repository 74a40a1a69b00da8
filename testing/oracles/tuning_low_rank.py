"""Truth for the techniques of LoRA's family, from PEFT: logits, gradients and losses of tiny checkpoints with adapters.

    python testing/oracles/tuning_low_rank.py [--only NAME ...] [--out FOLDER]

Reads testing/fixtures/families/ and writes FOLDER/NAME.safetensors (testing/fixtures/tuning): `ids`, `initial/WEIGHT` (adapters with random
numbers, named as Frugal names them), `logits`, `loss`, `gradient/WEIGHT`, and `losses` of 12 steps
of AdamW at `rate` on the one sequence.
"""

import argparse
import hashlib
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from peft import AdaLoraConfig, LoraConfig, VeraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import save_file

FAMILIES = Path(__file__).parent.parent / "fixtures/families"
TOKENS, STEPS = 24, 12

SUFFIXES = {
    "self_attn.q_proj": "attention.query", "self_attn.k_proj": "attention.key", "self_attn.v_proj": "attention.value", "self_attn.o_proj": "attention.output",
    "mlp.gate_proj": "mlp.gate", "mlp.up_proj": "mlp.up", "mlp.down_proj": "mlp.down",
    "attn.c_proj": "attention.output", "mlp.c_fc": "mlp.up", "mlp.c_proj": "mlp.down",
}
KINDS = {"lora_A": "loraA", "lora_B": "loraB", "lora_E": "loraE", "lora_magnitude_vector": "magnitude", "vera_lambda_d": "veraD", "vera_lambda_b": "veraB"}

# Of AdamW: at a higher one two of the rows leap about so that rounding grows to 1e-3 within 12 steps.
RATES = {"lora-all": 0.001, "dora": 0.003}

RANDOM = {"init_lora_weights": False}
ROWS = {
    "lora": ("llama-2", LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj"], **RANDOM)),
    "lora-all": ("qwen-2", LoraConfig(r=2, lora_alpha=8, target_modules="all-linear", rank_pattern={"q_proj": 3, "layers.1.mlp.down_proj": 5}, alpha_pattern={"v_proj": 2, "layers.0.mlp.up_proj": 3}, **RANDOM)),
    "lora-gpt-2": ("gpt-2", LoraConfig(r=3, lora_alpha=3, target_modules=["c_fc", "c_proj"], fan_in_fan_out=True, **RANDOM)),
    "lora-plus": ("llama-2", LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj"], **RANDOM)),
    "rslora": ("llama-2", LoraConfig(r=4, lora_alpha=6, target_modules=["k_proj", "gate_proj"], use_rslora=True, **RANDOM)),
    "dora": ("qwen-2", LoraConfig(r=2, lora_alpha=5, target_modules="all-linear", use_dora=True, **RANDOM)),
    "dora-gpt-2": ("gpt-2", LoraConfig(r=3, lora_alpha=3, target_modules=["c_fc", "c_proj"], fan_in_fan_out=True, use_dora=True, **RANDOM)),
    "vera": ("llama-2", VeraConfig(r=6, target_modules=["q_proj", "up_proj", "down_proj"], projection_prng_key=3, init_weights=False)),
    "adalora": ("llama-2", AdaLoraConfig(init_r=4, target_r=2, lora_alpha=6, total_step=100, orth_reg_weight=0.3, target_modules=["q_proj", "down_proj"], **RANDOM)),
    "pissa": ("llama-2", LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "down_proj"], init_lora_weights="pissa")),
}


def our_name(name):
    """base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight -> layers.0.attention.query.loraA"""
    parts = name.split(".")
    if name.endswith(("vera_A.default", "vera_B.default")):
        return f"vera.{parts[-2][-1]}"
    at = next(i for i, part in enumerate(parts) if part in KINDS)
    layer = parts[next(i for i, part in enumerate(parts) if part in ("layers", "h")) + 1]
    return f"layers.{layer}.{SUFFIXES['.'.join(parts[at - 2:at])]}.{KINDS[parts[at]]}"


def generator(name):
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "little"))


def randomise(name, model):
    """Adapters that change the logits clearly, each number from its own stream; what PEFT makes itself is kept for PiSSA and VeRA's projections."""
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            noise = torch.randn(parameter.shape, generator=generator(f"{name} {our_name(key)}"))
            if "magnitude" in key:
                parameter.mul_(1 + 0.1 * noise)
            elif "lora_E" in key or "vera_lambda" in key:
                parameter.copy_(0.5 * noise)
            else:
                parameter.copy_(noise / parameter.shape[-1] ** 0.5 * 0.7)


def trainable(model):
    return {our_name(key): parameter for key, parameter in model.named_parameters() if parameter.requires_grad}


def write(name, out):
    family, config = ROWS[name]
    base = transformers.AutoModelForCausalLM.from_pretrained(FAMILIES / family, dtype=torch.float32, attn_implementation="eager").eval()
    rate = RATES.get(name, 0.01)
    ids = torch.randint(5, base.config.vocab_size, (1, TOKENS), generator=generator(f"{name} ids"))
    found = {"ids": ids[0].to(torch.int32), "rate": torch.tensor([rate])}
    with torch.no_grad():
        found["base.logits"] = base(input_ids=ids).logits[0]
    config.task_type = "CAUSAL_LM"
    torch.manual_seed(1)
    model = get_peft_model(base, config).eval()
    if name != "pissa":
        randomise(name, model)
    parameters = trainable(model)
    # Contiguous copies: the numbers before any step.
    found |= {f"initial/{key}": parameter.detach().clone().contiguous() for key, parameter in parameters.items()}
    found |= {f"initial/{our_name(key)}": buffer.clone().contiguous() for key, buffer in model.named_buffers() if "vera_" in key}
    output = model(input_ids=ids, labels=ids)
    output.loss.backward()
    found |= {"logits": output.logits[0].detach(), "loss": output.loss.detach().reshape(1)}
    found |= {f"gradient/{key}": parameter.grad.clone().contiguous() for key, parameter in parameters.items()}
    if name == "lora-plus":
        optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=rate, loraplus_lr_ratio=4, loraplus_weight_decay=0.01)
    else:
        optimizer = torch.optim.AdamW(parameters.values(), lr=rate, weight_decay=0.01)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    found["losses"] = torch.tensor(losses)
    save_file({key: tensor.contiguous() for key, tensor in found.items()}, out / f"{name}.safetensors")
    print(name, " ".join(f"{loss:.4f}" for loss in losses), f"base {torch.nn.functional.cross_entropy(found['base.logits'][:-1], ids[0][1:]).item():.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=list(ROWS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "fixtures/tuning")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for each in arguments.only:
        write(each, arguments.out)
