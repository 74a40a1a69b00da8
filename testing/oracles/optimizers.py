"""Truth for the update rules, the schedules and clipping: what PyTorch, transformers and bitsandbytes make of the same gradients.

    python testing/oracles/optimizers.py

Writes testing/fixtures/training/optimizers.safetensors and schedules.json. SGD, AdamW and Adafactor run in double precision; LOMO and
AdaLomo are written out here, in double precision, from the papers' formulas; Lion and the 8-bit AdamW are bitsandbytes' own, in 32 bits,
except that states are encoded with the nearest level as arXiv 2110.02861 has it and bitsandbytes on GPUs does: on CPUs it looks levels up in
a table too coarse for the small ones (below 1.9e-5 of the largest all get the same code).
"""

import json
import math
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import bitsandbytes
import bitsandbytes.backends.cpu.ops
import torch
import transformers
from safetensors.torch import save_file

FOLDER = Path(__file__).parent.parent / "fixtures" / "training"
STEPS = 14
KEPT = [1, 2, 6, 14]
SHAPES = {"vector": (7,), "matrix": (5, 6)}
# Two blocks of 256 each, the second not full; the vector is too short for codes.
WIDE = {"vector": (9,), "matrix": (18, 20)}
WIDE_STEPS = [1, 2, 13]


def draw(name, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(name.encode())))


def rate(step):
    """Another one at each step, so that a rate applied in the wrong place shows."""
    return 0.02 * (1 + 0.5 * math.sin(step))


def encode_nearest(numbers, levels, peaks, codes, blocksize):
    for block, start in enumerate(range(0, numbers.numel(), blocksize)):
        part = numbers.flatten()[start : start + blocksize]
        peaks[block] = part.abs().max()
        codes.flatten()[start : start + blocksize] = (part / peaks[block] - levels[:, None]).abs().argmin(0).to(torch.uint8)


bitsandbytes.backends.cpu.ops._quant_blockwise_fp32_direct = encode_nearest


class Lomo(torch.optim.Optimizer):
    """arXiv 2306.09782, algorithm 1."""

    def __init__(self, params, lr, clip_value=None, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "clip_value": clip_value, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                limit = group["clip_value"]
                slope = p.grad if limit is None else p.grad.clamp(-limit, limit)
                p.copy_(p * (1 - group["lr"] * group["weight_decay"]) - group["lr"] * slope)


class AdaLomo(torch.optim.Optimizer):
    """arXiv 2310.10195, algorithm 1, with the decay of the second moment that the authors' program has."""

    def __init__(self, params, lr, eps=(1e-30, 1e-3), clip_threshold=1.0, decay_rate=-0.8, weight_decay=0.0, clip_value=None):
        super().__init__(params, dict(lr=lr, eps=eps, clip_threshold=clip_threshold, decay_rate=decay_rate, weight_decay=weight_decay, clip_value=clip_value))
        self.count = 0

    @torch.no_grad()
    def step(self):
        self.count += 1
        for group in self.param_groups:
            for p in group["params"]:
                limit = group["clip_value"]
                g = p.grad if limit is None else p.grad.clamp(-limit, limit)
                fresh = self.count ** group["decay_rate"]
                state = self.state[p]
                square = g * g + group["eps"][0]
                if p.ndim == 2:
                    rows = state["rows"] = (1 - fresh) * state.get("rows", 0) + fresh * square.mean(1)
                    columns = state["columns"] = (1 - fresh) * state.get("columns", 0) + fresh * square.mean(0)
                    second = torch.outer(rows, columns) / rows.mean()
                else:
                    second = state["second"] = (1 - fresh) * state.get("second", 0) + fresh * square
                update = g / second.sqrt()
                update = update / max(1.0, update.square().mean().sqrt() / group["clip_threshold"])
                lr = group["lr"] * max(group["eps"][1], p.square().mean().sqrt())
                p.copy_(p * (1 - lr * group["weight_decay"]) - lr * update)


sgd, adamw, lion = torch.optim.SGD, torch.optim.AdamW, bitsandbytes.optim.Lion32bit


def adafactor(params, lr, **options):
    options = {"scale_parameter": False, "relative_step": False, **options}
    return transformers.Adafactor(params, lr=None if options["relative_step"] else lr, **options)


# Name of our rule, our options, their class, their options.
CASES = [
    ("sgd", {}, sgd, {}),
    ("sgd", {"momentum": 0.9}, sgd, {"momentum": 0.9}),
    ("sgd", {"momentum": 0.6, "nesterov": True}, sgd, {"momentum": 0.6, "nesterov": True}),
    ("sgd", {"momentum": 0.9, "weightDecay": 0.1}, sgd, {"momentum": 0.9, "weight_decay": 0.1}),
    ("sgd", {"weightDecay": 0.3}, sgd, {"weight_decay": 0.3}),
    ("adamw", {}, adamw, {}),
    ("adamw", {"betas": [0.8, 0.999]}, adamw, {"betas": (0.8, 0.999)}),
    ("adamw", {"betas": [0.9, 0.95]}, adamw, {"betas": (0.9, 0.95)}),
    ("adamw", {"betas": [0, 0]}, adamw, {"betas": (0.0, 0.0)}),
    ("adamw", {"epsilon": 0.03}, adamw, {"eps": 0.03}),
    ("adamw", {"weightDecay": 0.5}, adamw, {"weight_decay": 0.5}),
    ("adamw", {"weightDecay": 0}, adamw, {"weight_decay": 0}),
    ("lion", {}, lion, {}),
    ("lion", {"betas": [0.5, 0.99]}, lion, {"betas": (0.5, 0.99)}),
    ("lion", {"betas": [0.9, 0.7]}, lion, {"betas": (0.9, 0.7)}),
    ("lion", {"weightDecay": 0.4}, lion, {"weight_decay": 0.4}),
    ("adafactor", {}, adafactor, {}),
    ("adafactor", {"epsilon": 0.05}, adafactor, {"eps": (0.05, 1e-3)}),
    ("adafactor", {"scaleEpsilon": 5, "scaleParameter": True}, adafactor, {"eps": (1e-30, 5), "scale_parameter": True}),
    ("adafactor", {"clipThreshold": 0.3}, adafactor, {"clip_threshold": 0.3}),
    ("adafactor", {"decayRate": -0.4}, adafactor, {"decay_rate": -0.4}),
    ("adafactor", {"beta1": 0.7}, adafactor, {"beta1": 0.7}),
    ("adafactor", {"weightDecay": 0.4}, adafactor, {"weight_decay": 0.4}),
    ("adafactor", {"scaleParameter": True}, adafactor, {"scale_parameter": True}),
    ("adafactor", {"relativeStep": True}, adafactor, {"relative_step": True}),
    ("adafactor", {"relativeStep": True, "warmupInit": True}, adafactor, {"relative_step": True, "warmup_init": True}),
    ("lomo", {}, Lomo, {}),
    ("lomo", {"clipValue": 0.4}, Lomo, {"clip_value": 0.4}),
    ("lomo", {"weightDecay": 0.4}, Lomo, {"weight_decay": 0.4}),
    ("adalomo", {}, AdaLomo, {}),
    ("adalomo", {"epsilon": 0.05}, AdaLomo, {"eps": (0.05, 1e-3)}),
    ("adalomo", {"scaleEpsilon": 5}, AdaLomo, {"eps": (1e-30, 5)}),
    ("adalomo", {"clipThreshold": 0.3}, AdaLomo, {"clip_threshold": 0.3}),
    ("adalomo", {"decayRate": -0.4}, AdaLomo, {"decay_rate": -0.4}),
    ("adalomo", {"weightDecay": 0.4}, AdaLomo, {"weight_decay": 0.4}),
    ("adalomo", {"clipValue": 0.4}, AdaLomo, {"clip_value": 0.4}),
]
WIDE_CASES = [
    {},
    {"betas": [0.8, 0.95]},
    {"epsilon": 0.03},
    {"weightDecay": 0.5},
]


def run(make, options, shapes, tensors, prefix, steps, dtype, rates=True):
    """Parameters after each step."""
    params = {key: torch.nn.Parameter(tensors[f"{prefix}start.{key}"].to(dtype, copy=True)) for key in shapes}
    optimizer = make(list(params.values()), lr=rate(0), **options)
    after = {key: [] for key in shapes}
    for step in range(steps):
        for group in optimizer.param_groups:
            if rates:
                group["lr"] = rate(step)
        for key, p in params.items():
            p.grad = tensors[f"{prefix}gradients.{key}"][step].to(dtype)
        optimizer.step()
        for key, p in params.items():
            after[key].append(p.detach().clone())
    return after, optimizer, params


def main():
    FOLDER.mkdir(exist_ok=True)
    tensors, listed = {}, []
    for prefix, shapes in (("", SHAPES), ("wide.", WIDE)):
        for key, shape in shapes.items():
            tensors[f"{prefix}start.{key}"] = draw(f"start {key}", *shape)
            size = 10 ** draw(f"scale {key}", *shape).clamp(-2, 1)
            # Halves, so that the large ones take little room.
            tensors[f"{prefix}gradients.{key}"] = (size * draw(f"gradient {key}", STEPS, *shape)).half()
    for i, (rule, ours, make, theirs) in enumerate(CASES):
        relative = theirs.get("relative_step", False)
        dtype = torch.float32 if make is lion else torch.float64
        after, _, _ = run(make, theirs, SHAPES, tensors, "", STEPS, dtype, rates=not relative)
        for key, values in after.items():
            tensors[f"{i}.{key}"] = torch.stack([values[step - 1] for step in KEPT]).float()
        listed.append({"rule": rule, "options": ours, "rates": [1 if relative else rate(step) for step in range(STEPS)]})
    wide = []
    for i, ours in enumerate(WIDE_CASES):
        theirs = {"weight_decay": ours.get("weightDecay", 0.01), "betas": tuple(ours.get("betas", (0.9, 0.999))), "eps": ours.get("epsilon", 1e-8)}
        for steps in WIDE_STEPS:
            after, optimizer, params = run(bitsandbytes.optim.AdamW8bit, {**theirs, "min_8bit_size": 10}, WIDE, tensors, "wide.", steps, torch.float32)
            for key, values in after.items():
                tensors[f"wide.{i}.{steps}.{key}"] = values[-1]
            state = optimizer.state[params["matrix"]]
            if steps == WIDE_STEPS[-1]:
                for number in (1, 2):
                    tensors[f"wide.{i}.codes{number}"] = state[f"state{number}"]
                    tensors[f"wide.{i}.peaks{number}"] = state[f"absmax{number}"]
                    tensors[f"wide.levels{number}"] = state[f"qmap{number}"].clone()
        wide.append({"options": ours, "rates": [rate(step) for step in range(WIDE_STEPS[-1])]})
    described = {"cases": json.dumps(listed), "wide": json.dumps(wide), "kept": json.dumps(KEPT), "wideKept": json.dumps(WIDE_STEPS)}
    save_file({key: value.contiguous() for key, value in tensors.items()}, FOLDER / "optimizers.safetensors", metadata=described)
    schedules()
    clipping()


def schedules():
    """Factors at each step, from transformers' get_scheduler over a rate of 1."""
    found = []
    for kind, steps, warm, floor in (
        ("constant", 10, 0, 0), ("constant", 10, 4, 0), ("linear", 10, 0, 0), ("linear", 10, 3, 0), ("cosine", 10, 0, 0),
        ("cosine", 12, 5, 0), ("linear", 1, 0, 0), ("cosine", 4, 4, 0), ("linear", 10, 3, 0.25), ("cosine", 10, 3, 0.25),
    ):
        name, more = kind, {}
        if kind == "constant" and warm > 0:
            name = "constant_with_warmup"
        if floor > 0:
            name, more = {"linear": ("polynomial", {"lr_end": floor, "power": 1.0}), "cosine": ("cosine_with_min_lr", {"min_lr_rate": floor})}[kind]
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        scheduler = transformers.get_scheduler(name, optimizer, num_warmup_steps=warm, num_training_steps=steps, scheduler_specific_kwargs=more)
        factors = []
        for _ in range(steps + 3):
            factors.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
        # transformers' cosines go on as waves behind the end of training; ours stay at the floor.
        found.append({"kind": kind, "steps": steps, "warmUpSteps": warm, "floor": floor, "factors": factors[: steps + 1]})
    (FOLDER / "schedules.json").write_text(json.dumps(found) + "\n", encoding="utf-8")


def clipping():
    """Gradients after torch's clip_grad_norm_, and the scale that its GradScaler goes through."""
    gradients = [[3.0, -4.0], [[12.0, 0.5], [-1.0, 2.0]]]
    cases = []
    for limit in (1.0, 5.0, 100.0):
        params = [torch.nn.Parameter(torch.zeros_like(torch.tensor(g))) for g in gradients]
        for p, g in zip(params, gradients):
            p.grad = torch.tensor(g)
        norm = torch.nn.utils.clip_grad_norm_(params, limit)
        cases.append({"limit": limit, "norm": norm.item(), "clipped": [p.grad.tolist() for p in params]})
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=3)
    overflows = [False, False, False, True, False, True, True, False, False, False, False, False, False]
    scales = []
    for overflow in overflows:
        p = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([p], lr=0.0)
        scaler.scale(torch.zeros(1))
        p.grad = torch.tensor([math.inf if overflow else 1.0])
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    described = {"gradients": gradients, "clipping": cases, "scaling": {"initial": 1024, "growthInterval": 3, "overflows": overflows, "scales": scales}}
    (FOLDER / "scaling.json").write_text(json.dumps(described) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
