"""Toy vocabularies of any size: the tokenizer.json of a checkpoint and the same pieces as GGUF metadata.

Three kinds, one for each tokenizer model that llama.cpp needs to load a file: "spm" (SentencePiece-like BPE),
"bpe" (byte-level BPE with the GPT-2 splitter) and "wordpiece" (BERT).
"""

import itertools
import json
from pathlib import Path

WORD_START = "▁"
LETTERS = "etaoinshrdlucmfwygpbvkxqjz"
SPECIAL = {
    "spm": ["<unk>", "<s>", "</s>"],
    "bpe": ["<|endoftext|>", "<|start|>", "<|pad|>"],
    "wordpiece": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    "roberta": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
}


def byte_letters():
    """GPT-2's printable stand-ins of the 256 bytes, in byte order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = itertools.count(256)
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def pair_merges(start, count):
    """The first `count` merges: word start + letter, then pairs of letters. Every product has one way to arise."""
    pairs = [(start, letter) for letter in LETTERS[:12]]
    pairs += [(a, b) for a in LETTERS[:10] for b in LETTERS[:10] if a != b]
    if count > len(pairs):
        raise ValueError(f"toy text: {count} merges wanted, {len(pairs)} known")
    return pairs[:count]


def pieces(kind, size):
    """(tokens, merges): the id is the index in tokens."""
    special = SPECIAL[kind]
    if kind == "wordpiece":
        letters = list(LETTERS)
        tails = ["##" + letter for letter in LETTERS]
        rest = [a + b for a in LETTERS[:10] for b in LETTERS[:10] if a != b]
        tokens = special + letters + tails + rest
        return tokens[:size], []
    if kind == "spm":
        alphabet = [WORD_START, *LETTERS, *LETTERS.upper(), *"0123456789.,!?'-", "<0x0A>"]
        start = WORD_START
    else:
        letters = byte_letters()
        alphabet = [letters[byte] for byte in [32, 10, *range(33, 91), *range(97, 123)]]
        start = letters[32]
    merges = pair_merges(start, size - len(special) - len(alphabet))
    return special + alphabet + [a + b for a, b in merges], merges


def write_tokenizer(kind, size, folder: Path):
    """tokenizer.json and tokenizer_config.json, as the tokenizers library reads them."""
    tokens, merges = pieces(kind, size)
    special = SPECIAL[kind]
    vocab = {token: index for index, token in enumerate(tokens)}
    added = [
        {"id": index, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for index, token in enumerate(special)
    ]
    bpe = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
           "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": [list(pair) for pair in merges]}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    bracket = lambda first, last: {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": first, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": last, "type_id": 0}}],
        "pair": [{"SpecialToken": {"id": first, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": last, "type_id": 0}},
                 {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": last, "type_id": 1}}],
        "special_tokens": {name: {"id": name, "ids": [vocab[name]], "tokens": [name]} for name in (first, last)},
    }
    parts = {"normalizer": None, "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level, "model": bpe}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    if kind == "spm":
        replace = {"type": "Replace", "pattern": {"String": " "}, "content": WORD_START}
        parts.update(
            normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": WORD_START}, replace]}, pre_tokenizer=None,
            model={**bpe, "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True},
            decoder={"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": WORD_START}, "content": " "}, {"type": "ByteFallback"},
                                                      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})
        config.update(bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    elif kind == "wordpiece":
        parts.update(
            normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
            pre_tokenizer={"type": "BertPreTokenizer"}, decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
            post_processor=bracket("[CLS]", "[SEP]"),
            model={"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab})
        config.update(cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]", pad_token="[PAD]", mask_token="[MASK]")
    elif kind == "roberta":
        parts.update(post_processor={"type": "RobertaProcessing", "sep": ["</s>", vocab["</s>"]], "cls": ["<s>", vocab["<s>"]],
                                     "trim_offsets": True, "add_prefix_space": False})
        config.update(bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>", mask_token="<mask>", cls_token="<s>", sep_token="</s>")
    else:
        config.update(bos_token="<|start|>", eos_token="<|endoftext|>", pad_token="<|pad|>")
    document = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, **parts}
    (folder / "tokenizer.json").write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False) + "\n", encoding="utf-8")


def add_to_gguf(kind, size, writer, gguf):
    """The metadata that a converter would write for these pieces."""
    tokens, merges = pieces(kind, size)
    special = len(SPECIAL[kind])
    types = [gguf.TokenType.CONTROL if index < special else gguf.TokenType.NORMAL for index in range(size)]
    if kind == "spm":
        types[0] = gguf.TokenType.UNKNOWN
        types[tokens.index("<0x0A>")] = gguf.TokenType.BYTE
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens)
        first = size - len(merges)
        writer.add_token_scores([float(first - index - 1) if index >= first else (0.0 if index < special else -1000.0) for index in range(size)])
        writer.add_token_types(types)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        writer.add_add_bos_token(True)
        writer.add_add_eos_token(False)
    elif kind == "wordpiece":
        writer.add_tokenizer_model("bert")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([token if index < special else token[2:] if token.startswith("##") else WORD_START + token for index, token in enumerate(tokens)])
        writer.add_token_types(types)
        writer.add_pad_token_id(0)
        writer.add_unk_token_id(1)
        writer.add_bos_token_id(2)
        writer.add_sep_token_id(3)
        writer.add_mask_token_id(4)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(tokens)
        writer.add_token_types(types)
        writer.add_token_merges([" ".join(pair) for pair in merges])
        if kind == "roberta":
            for add, identity in ((writer.add_bos_token_id, 0), (writer.add_pad_token_id, 1), (writer.add_eos_token_id, 2), (writer.add_unk_token_id, 3),
                                  (writer.add_mask_token_id, 4), (writer.add_sep_token_id, 2)):
                add(identity)
            writer.add_add_bos_token(True)
            writer.add_add_eos_token(True)
        else:
            writer.add_eos_token_id(0)
            writer.add_bos_token_id(1)
            writer.add_pad_token_id(2)
            writer.add_add_bos_token(False)
