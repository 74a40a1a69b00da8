"""Truth for adapters: what PEFT writes for small models, what it answers with them, and what it merges them into.

    python testing/oracles/adapters.py [--only NAME ...] [--out FOLDER]

Writes FOLDER/NAME/{adapter_config.json, adapter_model.safetensors, cases.safetensors} for bases in testing/fixtures/families. The README
beside this file lists the contents of cases.safetensors.
"""

import argparse
import hashlib
import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

FAMILIES = Path(__file__).parent.parent / "fixtures" / "families"
IDS = [7, 11, 23, 5, 42, 17, 30, 9]
ENTRIES = 16
TEXT = {"task_type": "CAUSAL_LM"}


def lora(base, architecture, targets, **options):
    return base, architecture, lambda: peft.LoraConfig(target_modules=targets, **{"r": 2, "lora_alpha": 5, **TEXT, **options})


LLAMA = ("llama-3", "LlamaForCausalLM")
QWEN = ("qwen-2", "Qwen2ForCausalLM")
GPT2 = ("gpt-2", "GPT2LMHeadModel")
ROWS = {
    "lora": lora(*LLAMA, "all-linear", rank_pattern={"q_proj": 3, "model.layers.1.mlp.down_proj": 1}, alpha_pattern={"k_proj": 2}),
    "lora-layers": lora(*LLAMA, ["q_proj", "v_proj"], layers_to_transform=[0, 1]),
    "rslora": lora(*LLAMA, ["q_proj", "v_proj"], r=3, use_rslora=True),
    "dora": lora(*LLAMA, ["q_proj", "k_proj", "down_proj"], use_dora=True),
    "lora-bias": lora(*QWEN, ["q_proj", "v_proj", "up_proj"], modules_to_save=["norm"]),
    "lora-biases": lora(*QWEN, ["q_proj"], bias="all"),
    "lora-transposed": lora(*GPT2, ["c_attn", "mlp.c_proj"], fan_in_fan_out=True),
    "dora-transposed": lora(*GPT2, ["c_attn", "c_fc"], fan_in_fan_out=True, use_dora=True),
    "lora-by-head": lora("gpt-neox", "GPTNeoXForCausalLM", ["query_key_value", "dense"]),
    "lora-fused": lora("phi-3", "Phi3ForCausalLM", ["qkv_proj", "gate_up_proj", "o_proj"]),
    "lora-classifier": lora("roberta", "RobertaForSequenceClassification", ["query", "value", "intermediate.dense"], task_type="SEQ_CLS"),
    "adalora": (*LLAMA, lambda: peft.AdaLoraConfig(init_r=3, target_r=2, lora_alpha=5, total_step=10, target_modules=["q_proj", "v_proj"], **TEXT)),
    "vera": (*LLAMA, lambda: peft.VeraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], **TEXT)),
    "ia3": (*LLAMA, lambda: peft.IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], **TEXT)),
    "ia3-bias": (*QWEN, lambda: peft.IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], **TEXT)),
    "ia3-transposed": (*GPT2, lambda: peft.IA3Config(target_modules=["c_attn", "mlp.c_proj"], feedforward_modules=["mlp.c_proj"], fan_in_fan_out=True, **TEXT)),
    "norms": (*LLAMA, lambda: peft.LNTuningConfig(target_modules=["input_layernorm", "norm"], **TEXT)),
    "norms-plus-one": ("gemma-3", "Gemma3ForCausalLM", lambda: peft.LNTuningConfig(target_modules=["input_layernorm"], **TEXT)),
    "norms-bias": ("gpt-neox", "GPTNeoXForCausalLM", lambda: peft.LNTuningConfig(target_modules=["input_layernorm"], **TEXT)),
    "prompt": (*LLAMA, lambda: peft.PromptTuningConfig(num_virtual_tokens=3, **TEXT)),
    "prefix": (*LLAMA, lambda: peft.PrefixTuningConfig(num_virtual_tokens=3, **TEXT)),
    "p-tuning": (*LLAMA, lambda: peft.PromptEncoderConfig(num_virtual_tokens=3, encoder_hidden_size=16, **TEXT)),
}


def base_model(base, architecture):
    return getattr(transformers, architecture).from_pretrained(FAMILIES / base, dtype=torch.float32, attn_implementation="eager").eval()


def scramble(model):
    """Adapters begin without effect: every number that is trained is moved, each tensor by a random stream of its own."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "little")
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
            is_scale = "magnitude" in name or "ia3" in name or "norm" in name
            parameter.copy_(parameter * (1 + 0.2 * noise) if is_scale else parameter + 0.3 * noise)


def logits_of(model):
    with torch.no_grad():
        return model(input_ids=torch.tensor([IDS])).logits.float()


def entries(tensor):
    """Some of a tensor's numbers, in a fixed spread."""
    flat = tensor.flatten()
    return flat[[(i * 7919) % flat.numel() for i in range(ENTRIES)]].clone()


def write(name, out):
    base, architecture, config = ROWS[name]
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = peft.get_peft_model(base_model(base, architecture), config())
    scramble(model)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        text = json.loads((Path(scratch) / "adapter_config.json").read_text())
        tensors = load_file(Path(scratch) / "adapter_model.safetensors")
    text["base_model_name_or_path"] = base
    text["target_modules"] = sorted(text["target_modules"]) if isinstance(text.get("target_modules"), list) else text.get("target_modules")
    (folder / "adapter_config.json").write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / "adapter_model.safetensors", {"format": "pt"})
    cases = {"input_ids": torch.tensor(IDS, dtype=torch.int32)}
    loaded = peft.PeftModel.from_pretrained(base_model(base, architecture), folder).eval()
    cases["logits"] = logits_of(loaded)[0].clone()
    if hasattr(loaded.base_model, "merge_and_unload"):
        before = base_model(base, architecture).state_dict()
        merged = loaded.merge_and_unload()
        assert torch.allclose(logits_of(merged)[0], cases["logits"], atol=2e-4), name
        for key, tensor in merged.state_dict().items():
            if key not in before or not torch.equal(tensor, before[key]):
                cases[f"merged.{key}"] = entries(tensor)
    save_file(cases, folder / "cases.safetensors")
    print(name, sum(path.stat().st_size for path in folder.iterdir()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(ROWS))
    parser.add_argument("--out", type=Path, default=FAMILIES.parent / "adapters")
    arguments = parser.parse_args()
    for name in arguments.only:
        write(name, arguments.out)


if __name__ == "__main__":
    main()
