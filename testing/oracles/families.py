"""Truth for the model families: tiny checkpoints whose every parameter matters, and what the original implementation answers.

    python testing/oracles/families.py [--only NAME ...] [--seed N] [--out FOLDER] [--llama-cpp FOLDER]

Writes FOLDER/NAME/{config.json, model.safetensors, cases.safetensors, tokenizer.json} and, with --llama-cpp (a source tree of llama.cpp),
NAME.gguf through that project's own converter. The README beside this file lists the contents of cases.safetensors.
"""

import argparse
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.pytorch_utils import Conv1D

import families_gguf
import families_toy_text
from families_rows import ROWS

LONG, SHORT, CONTINUATION = 37, 5, 16
LEAST_MARGIN = 0.02  # between the two best logits of every greedy step, so that rounding cannot turn a choice


def generator(seed, name):
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def spread(name, module, parameter, tied):
    """(mean, deviation) for one parameter: activations and logits near unit scale, attention far from uniform, no parameter neutral."""
    leaf = name.rsplit(".", 1)[-1]
    if isinstance(module, torch.nn.Embedding):
        return 0.0, 1 / math.sqrt(parameter.shape[1]) if tied else 0.5
    if isinstance(module, Conv1D):
        return 0.0, (0.3 if leaf == "bias" else 1.2 / math.sqrt(parameter.shape[0]))
    if parameter.ndim == 1 and "norm" in type(module).__name__.lower():
        plus_one = "gemma" in type(module).__name__.lower()
        return (1.0 if leaf == "weight" and not plus_one else 0.0), (0.3 if leaf == "weight" else 0.2)
    if parameter.ndim == 1:
        return 0.0, 0.3
    return 0.0, 1.2 / math.sqrt(parameter.shape[-1])


def scramble(model, seed, dtype):
    """Default initialisation hides faults (norms of one, biases of zero): replaces every parameter, each by its own random stream."""
    tied = getattr(model.config, "tie_word_embeddings", False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            module = model.get_submodule(name.rpartition(".")[0])
            mean, deviation = spread(name, module, parameter, tied)
            values = mean + deviation * torch.randn(parameter.shape, generator=generator(seed, name))
            parameter.copy_(values.to(dtype).float())


def write_checkpoint(row, seed, folder):
    dtype = {"F32": torch.float32, "BF16": torch.bfloat16}[row["dtype"]]
    (folder / "config.json").write_text(json.dumps(row["config"], indent=1) + "\n", encoding="utf-8")
    families_toy_text.write_tokenizer(row["text"], row["config"]["vocab_size"], folder)
    if row["pooling"]:
        (folder / "1_Pooling").mkdir(exist_ok=True)
        modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                   {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
                   {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]
        width = row["config"].get("hidden_size", row["config"].get("dim"))
        pooling = {"word_embedding_dimension": width, "pooling_mode_cls_token": row["pooling"] == "cls", "pooling_mode_mean_tokens": row["pooling"] == "mean",
                   "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False}
        (folder / "modules.json").write_text(json.dumps(modules, indent=1) + "\n", encoding="utf-8")
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling, indent=1) + "\n", encoding="utf-8")
    config = transformers.AutoConfig.from_pretrained(folder)
    config._attn_implementation = "eager"
    model = getattr(transformers, row["architecture"])(config).float().eval()
    scramble(model, seed, dtype)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        saved = load_file(Path(scratch) / "model.safetensors")
    save_file({name: tensor.to(dtype).contiguous() for name, tensor in saved.items()}, folder / "model.safetensors", {"format": "pt"})


def load_model(row, folder):
    """Read back from the files, so that the truth belongs to what is stored."""
    model, info = getattr(transformers, row["architecture"]).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    if info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"]:
        raise SystemExit(f"families: {folder.name} does not load cleanly: {info}")
    return model.eval()


def logits_of(model, ids):
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()


def continue_greedily(model, ids):
    """(ids, least margin between best and second best), one token a step with the cache."""
    chosen, margin = [], math.inf
    step = model(input_ids=torch.tensor([ids]), use_cache=True)
    while True:
        best = step.logits[0, -1].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        chosen.append(int(best.indices[0]))
        if len(chosen) == CONTINUATION:
            return chosen, margin
        step = model(input_ids=torch.tensor([[chosen[-1]]]), past_key_values=step.past_key_values, use_cache=True)


def draw_ids(seed, label, length, vocabulary):
    return torch.randint(5, vocabulary, (length,), generator=generator(seed, label)).tolist()


def decoder_cases(row, model, seed):
    cases = {}
    for label, length in (("long", LONG), ("short", SHORT)):
        continued = label == "short" or row["cross"]
        for attempt in range(200):
            ids = draw_ids(seed, f"ids {label} {attempt}", length, row["config"]["vocab_size"])
            if not continued:
                break
            chosen, margin = continue_greedily(model, ids)
            if margin >= LEAST_MARGIN:
                whole = logits_of(model, ids + chosen[:-1])[length - 1:].argmax(-1).tolist()
                if whole != chosen:
                    raise SystemExit(f"families: cached and uncached continuation differ: {chosen} {whole}")
                cases[f"{label}.continuation"] = torch.tensor(chosen, dtype=torch.int32)
                break
        else:
            raise SystemExit("families: no prompt with a clear greedy continuation; change the seed")
        cases[f"{label}.input_ids"] = torch.tensor(ids, dtype=torch.int32)
        cases[f"{label}.logits"] = logits_of(model, ids)
    return cases


def encoder_cases(row, model, seed):
    cases = {}
    typed = row["config"].get("type_vocab_size", 0) > 1
    for label, length in (("long", LONG), ("short", SHORT), *((("typed", 11),) if typed else ())):
        ids = draw_ids(seed, f"ids {label}", length, row["config"]["vocab_size"])
        inputs = {"input_ids": torch.tensor([ids])}
        if label == "typed":
            inputs["token_type_ids"] = torch.tensor([[0] * 4 + [1] * 7])
            cases["typed.token_type_ids"] = inputs["token_type_ids"][0].to(torch.int32)
        base = getattr(model, model.base_model_prefix, model)
        output = base(**inputs)
        hidden = output.last_hidden_state[0]
        pooled = hidden.mean(0) if row["pooling"] == "mean" else hidden[0]
        cases[f"{label}.input_ids"] = torch.tensor(ids, dtype=torch.int32)
        cases[f"{label}.last_hidden_state"] = hidden
        cases[f"{label}.embedding"] = pooled / pooled.norm()
        if getattr(output, "pooler_output", None) is not None:
            cases[f"{label}.pooler_output"] = output.pooler_output[0]
    return cases


def write_fixture(name, row, seed, folder, llama_cpp):
    folder.mkdir(parents=True, exist_ok=True)
    own_seed = f"{seed}/{name}"
    write_checkpoint(row, own_seed, folder)
    model = load_model(row, folder)
    with torch.no_grad():
        cases = (encoder_cases if row["pooling"] else decoder_cases)(row, model, own_seed)
    save_file({key: value.contiguous() for key, value in cases.items()}, folder / "cases.safetensors")
    scale = next(value for key, value in cases.items() if key in ("long.logits", "long.last_hidden_state")).std().item()
    twin = "-"
    if row["twin"] and llama_cpp:
        families_gguf.write_twin(row, folder, folder / f"{name}.gguf", llama_cpp, "bf16" if row["dtype"] == "BF16" else "f32")
        twin = f"{(folder / f'{name}.gguf').stat().st_size // 1024} KiB"
    print(f"{name:24} {row['dtype']:5} weights {(folder / 'model.safetensors').stat().st_size // 1024} KiB  twin {twin}  deviation of the output {scale:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", choices=sorted(ROWS), help="names of rows; all without it")
    parser.add_argument("--seed", type=int, default=1, help="the committed fixtures use 1; any other makes variants no test has seen")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "fixtures" / "families")
    parser.add_argument("--llama-cpp", type=Path, help="source tree of llama.cpp, for the GGUF twins")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in options.only or ROWS:
        write_fixture(name, ROWS[name], options.seed, options.out / name, options.llama_cpp)


if __name__ == "__main__":
    main()
