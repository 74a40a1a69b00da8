"""Learns byte-level merges with the tokenizers library, for src/text/train-bpe.ts.

Usage: python testing/oracles/merges_train.py
Writes testing/fixtures/merges.json: for each case its options, pieces and merges, learned from texts.json and LICENSE.
"""
import json, os
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

root = os.path.join(os.path.dirname(__file__), "..", "..")
with open(os.path.join(root, "testing", "fixtures", "tokenizers", "texts.json"), encoding="utf-8") as f:
    texts = json.load(f)
with open(os.path.join(root, "LICENSE"), encoding="utf-8") as f:
    texts.append(f.read())

lines = r"[^\n]+|[\n]+"
cases = [
    {"vocabulary": 700, "special": ["<|endoftext|>"], "leastCount": 2},
    {"vocabulary": 700, "special": [], "leastCount": 20},
    {"vocabulary": 5000, "special": ["<s>", "</s>"], "leastCount": 1},
    {"vocabulary": 500, "special": [], "leastCount": 2, "words": lines},
]
for case in cases:
    tokenizer = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex="words" not in case)
    split = [pre_tokenizers.Split(Regex(case["words"]), "isolated")] if "words" in case else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, level])
    trainer = trainers.BpeTrainer(
        vocab_size=case["vocabulary"], special_tokens=case["special"], min_frequency=case["leastCount"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    case["pieces"] = sorted(model["vocab"], key=model["vocab"].get)[256 + len(case["special"]):]
    case["merges"] = [" ".join(m) if isinstance(m, list) else m for m in model["merges"]]
    print(case["vocabulary"], len(case["pieces"]), len(case["merges"]))

with open(os.path.join(root, "testing", "fixtures", "merges.json"), "w", encoding="utf-8") as f:
    json.dump(cases, f, ensure_ascii=False, separators=(",", ":"))
    f.write("\n")
