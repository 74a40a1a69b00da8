"""Truth for additive and selective tuning: logits and gradients of committed checkpoints with random adapters, from PEFT or a few lines of torch.

    python testing/oracles/tuning_additive.py [--only CASE ...]

Writes testing/fixtures/tuning-additive/CASE.safetensors: `ids.0`, `ids.1`, `logits` of every text row of both, `loss` (the mean over all
next tokens of both), and `weights.NAME`, `gradients.NAME` under Frugal's names.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import torch
from safetensors.torch import save_file

from families import generator, load_model
from families_rows import ROWS

FIXTURES = Path(__file__).parent.parent / "fixtures"
LENGTHS, VIRTUAL = (9, 5), 3
PARTS = {"q_proj": "attention.query", "k_proj": "attention.key", "v_proj": "attention.value", "o_proj": "attention.output",
         "gate_proj": "mlp.gate", "up_proj": "mlp.up", "down_proj": "mlp.down",
         "input_layernorm": "attentionNorm", "post_attention_layernorm": "mlpNorm"}


def our_name(path):
    """model.layers.0.self_attn.k_proj -> layers.0.attention.key"""
    words = path.split(".")
    if "layers" not in words:
        return words[-1]
    return f"layers.{words[words.index('layers') + 1]}.{PARTS[words[-1]]}"


def fill(case, parameters, mean=0.0, deviation=0.3):
    with torch.no_grad():
        for name, parameter in parameters:
            parameter.copy_(mean + deviation * torch.randn(parameter.shape, generator=generator(1, f"{case}:{name}")))


def of_modules(model, leaf, squeeze=True):
    """Our names of PEFT's parameters that hang under the modules they change."""
    found = {}
    for name, parameter in model.named_parameters():
        if f".{leaf}." in name:
            found[name] = (our_name(name[: name.index(f".{leaf}.")].removesuffix(".base_layer")), parameter)
    return found


def ia3(case, model, **options):
    tuned = peft.get_peft_model(model, peft.IA3Config(task_type="CAUSAL_LM", **options))
    found = of_modules(tuned, "ia3_l")
    fill(case, [(name, parameter) for name, (_, parameter) in found.items()], mean=1.0)
    return tuned, {f"{name}.ia3": (p, lambda t: t.flatten()) for name, p in found.values()}


def ln(case, model, **options):
    tuned = peft.get_peft_model(model, peft.LNTuningConfig(task_type="CAUSAL_LM", **options))
    found = of_modules(tuned, "ln_tuning_layers")
    fill(case, [(name, parameter) for name, (_, parameter) in found.items()], mean=1.0)
    return tuned, {name: (p, lambda t: t) for name, p in found.values()}


def prompt(case, model, scale=1.0):
    tuned = peft.get_peft_model(model, peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL))
    parameter = tuned.prompt_encoder["default"].embedding.weight
    fill(case, [("prompt", parameter)])
    # Ours is multiplied by the family's scale afterwards.
    return tuned, {"prompt.embedding": (parameter, lambda t, of_gradient=False: t * scale if of_gradient else t / scale)}


def p_tuning(case, model):
    tuned = peft.get_peft_model(model, peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL, encoder_hidden_size=12))
    encoder = tuned.prompt_encoder["default"]
    fill(case, encoder.named_parameters())
    names = {"embedding.weight": "embedding", **{f"mlp_head.{i}.{kind}": f"{ours}{'.bias' * (kind == 'bias')}"
             for i, ours in ((0, "first"), (2, "second"), (4, "third")) for kind in ("weight", "bias")}}
    return tuned, {f"prompt.encoder.{names[name]}": (p, lambda t: t) for name, p in encoder.named_parameters()}


def prefix(case, model, projection=False):
    tuned = peft.get_peft_model(model, peft.PrefixTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL, prefix_projection=projection, **({"encoder_hidden_size": 10} if projection else {})))
    encoder = tuned.prompt_encoder["default"]
    fill(case, encoder.named_parameters())
    if projection:
        names = {"embedding.weight": "embedding", "transform.0.weight": "first", "transform.0.bias": "first.bias",
                 "transform.2.weight": "second", "transform.2.bias": "second.bias"}
        return tuned, {f"prefix.encoder.{names[name]}": (p, lambda t: t) for name, p in encoder.named_parameters()}
    layers = model.config.get_text_config().num_hidden_layers
    width = encoder.embedding.weight.shape[1] // (2 * layers)
    part = lambda i: lambda t: t[:, i * width:(i + 1) * width]
    return tuned, {f"prefix.{kind}.{layer}": (encoder.embedding.weight, part(2 * layer + k))
                   for layer in range(layers) for k, kind in enumerate(("key", "value"))}


def adapters(case, model, style, size=5, scale=4.0, places=("attention", "mlp")):
    """Hooks at the ends of the parts: serial reads the part's result, parallel what the part itself reads."""
    act = torch.nn.functional.gelu if style == "serial" else torch.relu
    width, named = model.config.hidden_size, {}

    def attach(module, name):
        down, up = torch.nn.Linear(width, size), torch.nn.Linear(size, width)
        for part, layer in (("down", down), ("up", up)):
            named.update({f"{name}.adapter.{part}": layer.weight, f"{name}.adapter.{part}.bias": layer.bias})

        def hook(_, args, kwargs, output):
            result = output[0] if isinstance(output, tuple) else output
            x = args[0] if args else kwargs["hidden_states"]
            changed = result + (up(act(down(result))) if style == "serial" else scale * up(act(down(x))))
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        module.register_forward_hook(hook, with_kwargs=True)

    model.requires_grad_(False)
    for i, layer in enumerate(model.model.layers):
        if "attention" in places:
            attach(layer.self_attn, f"layers.{i}.attention.output")
        if "mlp" in places:
            experts = hasattr(layer.mlp, "experts")
            attach(layer.mlp, f"layers.{i}.{'experts' if experts else 'mlp'}.down")
    fill(case, named.items())
    return model, {name: (p, lambda t: t) for name, p in named.items()}


CASES = {
    "ia3": ("llama-3", lambda c, m: ia3(c, m)),
    "ia3-biases": ("qwen-2", lambda c, m: ia3(c, m, target_modules=["q_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"])),
    "ia3-inputs": ("llama-3", lambda c, m: ia3(c, m, target_modules=["o_proj", "up_proj"], feedforward_modules=["o_proj", "up_proj"])),
    "ln": ("llama-3", lambda c, m: ln(c, m)),
    "prompt": ("llama-3", prompt),
    "prompt-scaled": ("gemma-3", lambda c, m: prompt(c, m, scale=float(m.model.embed_tokens.embed_scale))),
    # Granite multiplies the prompt as it does the embeddings: its rows are ours.
    "prompt-multiplied": ("granite", prompt),
    "p-tuning": ("llama-3", p_tuning),
    "prefix": ("llama-3", prefix),
    "prefix-norms": ("gemma-3", prefix),
    "prefix-projection": ("llama-3", lambda c, m: prefix(c, m, projection=True)),
    "adapters": ("llama-3", lambda c, m: adapters(c, m, "serial")),
    "parallel-adapters": ("llama-3", lambda c, m: adapters(c, m, "parallel")),
    "adapters-experts": ("mixtral", lambda c, m: adapters(c, m, "serial", places=("mlp",))),
    "parallel-adapters-experts": ("mixtral", lambda c, m: adapters(c, m, "parallel", places=("mlp",))),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*")
    only = parser.parse_args().only
    out = FIXTURES / "tuning-additive"
    out.mkdir(exist_ok=True)
    for case, (family, make) in CASES.items():
        if only and case not in only:
            continue
        base = load_model(ROWS[family], FIXTURES / "families" / family)
        vocabulary = ROWS[family]["config"]["vocab_size"]
        model, parameters = make(case, base)
        model.eval()
        texts = [torch.randint(5, vocabulary, (1, length), generator=generator(1, f"{case} ids {length}")) for length in LENGTHS]
        logits = [model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -ids.shape[1]:] for ids in texts]
        losses = [torch.nn.functional.cross_entropy(rows[:-1], ids[0, 1:], reduction="sum") for rows, ids in zip(logits, texts)]
        loss = sum(losses) / sum(length - 1 for length in LENGTHS)
        loss.backward()
        tensors = {"logits": torch.cat(logits).detach(), "loss": loss.detach().reshape(1), **{f"ids.{i}": ids[0].int() for i, ids in enumerate(texts)}}
        for name, (parameter, part) in parameters.items():
            gradient = part(parameter.grad, of_gradient=True) if case == "prompt-scaled" else part(parameter.grad)
            tensors |= {f"weights.{name}": part(parameter.detach()).contiguous(), f"gradients.{name}": gradient.contiguous()}
        save_file(tensors, out / f"{case}.safetensors")
        print(case, family, f"loss {loss.item():.6f}", len(parameters), "weights")


main()
