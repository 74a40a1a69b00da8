"""Trains a tiny tokenizer of every kind and writes what the tokenizers library makes of nasty texts.

Usage: python testing/oracles/tokenizers_train.py [DATA]   (DATA: the shared data folder, default ../shared/data)
Writes testing/fixtures/tokenizers/NAME.json = {"tokenizer": tokenizer.json, "cases": [[ids, decoded], ...]} and texts.json.
"""
import base64, json, os, sys, tempfile
import sentencepiece
import sentencepiece.sentencepiece_model_pb2 as spm_model
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

root = os.path.join(os.path.dirname(__file__), "..", "..")
data = sys.argv[1] if len(sys.argv) > 1 else os.path.join(root, "..", "shared", "data")
out = os.path.join(root, "testing", "fixtures", "tokenizers")
os.makedirs(out, exist_ok=True)

with open(os.path.join(data, "text", "small", "tinyshakespeare.txt"), encoding="utf-8") as f:
    text = f.read()[:300_000]
lines = text.split("\n") + ["Ünïcödé straße Ελληνικά Привет мир 日本語 中文字 한국어 😀👍🏽 1234567890 3.14 x=y+z; don't we'll I'M"] * 20

texts = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "a", " a", "a ", "  a  b   c", "Hello world", " Hello, World!", "hello  world\n\nagain",
    "The quick brown fox jumps over 13 lazy dogs.", "1", "12", "123", "1234", "12345678901234567890", "3.14159e-10", "١٢٣٤ ४५६ ½ Ⅷ ²",
    "don't DON'T we'll WE'LL I'm I'M you've y'all 'tis it's'", "ſ'ſ K'K İstanbul ǅ ß ẞ ﬁ", "naïve café résumé", "nai\u0308ve cafe\u0301 re\u0301sume\u0301",
    "Ελληνικά ΟΔΥΣΣΕΥΣ σς", "Привет, мир!", "日本語のテキスト。中文字符，测试！", "한국어 텍스트 ᄒᆞᆫ글", "मानक हिन्दी", "ภาษาไทย", "العربية مُشَكَّلَة", "עִבְרִית",
    "😀 👍🏽 👨‍👩‍👧 🇩🇪 ❤️", "\u200b\u200c\u200d\ufeff\u00ad", "\u0000\u0001\u007f\u0085\u00a0\u1680\u2028\u3000x", "a\u00a0b\u3000c\u2003d", "▁ ▁▁ a▁b", "Ġ Ċ ĉ ġ",
    "<s> </s> <unk> [UNK] [CLS] [SEP] <|endoftext|> <0x41> <0x0A>", "<|endoftext|>", "x<|endoftext|>y", "a <mask> b<mask>c  <mask>", "user123 a_b __init__ foo.bar()",
    "if (x<y && y>=0) { return [1,2,3]; } // ok", "\\ / | ~ ` ^ $ + = < > @ # % & *", "!!! ??? ... -- —— …", "«quotes» “curly” ‘single’ „low“", "http://example.com/a?b=c&d=e#f",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ABCdefGHIjkl CamelCaseWord XMLHttpRequest", "   leading and trailing   ",
    "tab\tseparated\tvalues\n\tindented", "line one\nline two\r\nline three\rline four\u2028line five", "Ｆｕｌｌ　ｗｉｄｔｈ １２３", "①②③ ㎏ ℃ ™ ½", "𝓗𝓮𝓵𝓵𝓸 𝕨𝕠𝕣𝕝𝕕 𐐀𐐨", "e\u0301\u0302\u0303 Z͑ͫ̓a̴l͂g̈o",
    "King Richard, my lord: speak. Speak!", "FIRST CITIZEN:\nBefore we proceed any further, hear me speak.", "THANKS thanks Thanks tHaNkS", "[MASK] masked [MASK]ed un[MASK]", "TOK tok atokb tok. (tok) tok\u0301",
    "zażółć gęślą jaźń", "smörgåsbord Ærøskøbing", "\U0001F468\u200d\U0001F469 \U00020000\U0002A6DF \U0002B820\U0002B91F", "a'b''c'''d", "9'9 it's9'll", "\ue000\uf8ff\U000F0000 \ufffd\ufffe",
]


def save(name, tokenizer):
    # The trainer can only add byte pieces as special tokens; in published files they are ordinary pieces.
    spec = json.loads(tokenizer.to_str())
    spec["added_tokens"] = [t for t in spec["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    cases = []
    for t in texts:
        ids = tokenizer.encode(t).ids
        cases.append([ids, tokenizer.decode(ids, skip_special_tokens=True)])
    with open(os.path.join(out, name + ".json"), "w", encoding="utf-8") as f:
        json.dump({"tokenizer": json.loads(tokenizer.to_str()), "cases": cases}, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


def trained(model, trainer, normalizer=None, pre=None):
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def bpe(size, special, byte_level=True, **options):
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
    return trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False, **options)


llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
gpt4o = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
bytes_ = ["<0x%02X>" % i for i in range(256)]

t = trained(models.BPE(), bpe(600, ["<|endoftext|>"]), pre=pre_tokenizers.ByteLevel(add_prefix_space=False))
t.decoder, t.post_processor = decoders.ByteLevel(), processors.ByteLevel(trim_offsets=False)
save("gpt2", t)

t = trained(models.BPE(), bpe(500, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]), pre=pre_tokenizers.ByteLevel(add_prefix_space=True))
t.decoder, t.post_processor = decoders.ByteLevel(), processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
t.add_special_tokens([AddedToken("<mask>", lstrip=True)])
save("roberta", t)

pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(llama3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
t = trained(models.BPE(ignore_merges=True), bpe(500, ["<|begin|>", "<|endoftext|>"]), pre=pre)
t.decoder = decoders.ByteLevel()
t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(single="<|begin|> $A", pair="<|begin|> $A $B", special_tokens=[("<|begin|>", 0)])])
save("llama3", t)

pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(gpt4o), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
t = trained(models.BPE(), bpe(450, ["<|endoftext|>"]), normalizer=normalizers.NFC(), pre=pre)
t.decoder = decoders.ByteLevel()
t.add_tokens([AddedToken("<tool>", normalized=False)])
save("gpt4o", t)

pre = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(r"[\r\n]"), "isolated"), pre_tokenizers.Split(Regex(r"\s?\p{L}+"), "isolated"), pre_tokenizers.Split(Regex(r"\s?\p{P}+"), "isolated"),
    pre_tokenizers.Split(Regex("[一-龥ࠀ-一가-퟿]+"), "isolated"), pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
t = trained(models.BPE(), bpe(450, []), pre=pre)
t.decoder = decoders.ByteLevel()
save("deepseek", t)

for how in ["merged_with_previous", "merged_with_next", "contiguous", "removed"]:
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"(?>\w+)[!?]*+|(?<=\d)\.\b"), how), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t = trained(models.BPE(), bpe(270, []), pre=pre)
    t.decoder = decoders.ByteLevel()
    save("split-" + how.replace("_", "-"), t)

t = trained(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True), bpe(700, ["<unk>", "<s>", "</s>"] + bytes_, byte_level=False, limit_alphabet=60),
            normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]))
t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A $B", special_tokens=[("<s>", 1), ("</s>", 2)])
save("llama2", t)

t = trained(models.BPE(unk_token="<unk>", fuse_unk=True), bpe(400, ["<unk>"], byte_level=False, limit_alphabet=40),
            normalizer=normalizers.Replace(" ", "▁"), pre=pre_tokenizers.Split("▁", "merged_with_previous"))
t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
save("gemma", t)

t = trained(models.BPE(unk_token="<unk>"), bpe(500, ["<unk>", "<s>"], byte_level=False, limit_alphabet=60), pre=pre_tokenizers.Metaspace(prepend_scheme="first", split=False))
t.decoder = decoders.Metaspace(prepend_scheme="first", split=False)
t.add_tokens([AddedToken("tok", single_word=True), AddedToken("<mask>", lstrip=True, rstrip=True)])
save("metaspace", t)

t = trained(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"), trainers.BpeTrainer(vocab_size=600, special_tokens=["<|endoftext|>"], end_of_word_suffix="</w>", show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()),
            normalizer=normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
            pre=pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]))
t.decoder = decoders.ByteLevel()
save("clip", t)

t = trained(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"), trainers.BpeTrainer(vocab_size=400, special_tokens=["[UNK]"], continuing_subword_prefix="##", show_progress=False, limit_alphabet=60), pre=pre_tokenizers.Whitespace())
t.decoder = decoders.WordPiece(cleanup=False)
save("bpe-prefix", t)

special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
template = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
t = trained(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False), normalizer=normalizers.BertNormalizer(), pre=pre_tokenizers.BertPreTokenizer())
t.decoder, t.post_processor = decoders.WordPiece(), template
save("bert", t)

t = trained(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20), trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False),
            normalizer=normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Strip()]), pre=pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"), pre_tokenizers.Digits()]))
t.decoder, t.post_processor = decoders.WordPiece(cleanup=False), processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
save("bert-cased", t)

t = trained(models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(vocab_size=400, special_tokens=["<unk>"], show_progress=False), normalizer=normalizers.NFKC(), pre=pre_tokenizers.Whitespace())
save("wordlevel", t)

t = trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=500, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False),
            normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(" {2,}"), " ")]), pre=pre_tokenizers.Metaspace(prepend_scheme="always"))
t.decoder = decoders.Metaspace(prepend_scheme="always")
t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
save("unigram", t)

# A small compiled normalization, made by SentencePiece from rules.
with tempfile.TemporaryDirectory() as folder:
    rules = [("Ａ", "A"), ("ﬁ", "fi"), ("①", "1"), ("½", "1/2"), ("e\u0301", "é"), ("E\u0301", "É"), ("™", "TM"), ("\u3000", " "), ("\u00a0", " "), ("\u00ad", ""), ("ー", "-"), ("が", "か゛"), ("\t", " "), ("\r", ""), ("ℵ", "x")]
    with open(os.path.join(folder, "rules.tsv"), "w", encoding="utf-8") as f:
        for source, target in rules:
            f.write("%s\t%s\n" % (" ".join("%X" % ord(c) for c in source), " ".join("%X" % ord(c) for c in target)))
    with open(os.path.join(folder, "text"), "w", encoding="utf-8") as f:
        f.write("\n".join(lines))
    sentencepiece.SentencePieceTrainer.train(input=os.path.join(folder, "text"), model_prefix=os.path.join(folder, "m"), vocab_size=600, model_type="unigram", byte_fallback=True,
                                             normalization_rule_tsv=os.path.join(folder, "rules.tsv"), hard_vocab_limit=False, minloglevel=2)
    proto = spm_model.ModelProto()
    with open(os.path.join(folder, "m.model"), "rb") as f:
        proto.ParseFromString(f.read())
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], 0, True))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")])
    t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")])
    save("sentencepiece-unigram", t)

    # The same library's BPE by scores, with what GGUF metadata would hold; ids are SentencePiece's own.
    sentencepiece.SentencePieceTrainer.train(input=os.path.join(folder, "text"), model_prefix=os.path.join(folder, "b"), vocab_size=600, model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
                                             remove_extra_whitespaces=False, user_defined_symbols=["<tool>", "\n\n"], hard_vocab_limit=False, minloglevel=2)
    sp = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "b.model"))
    proto = spm_model.ModelProto()
    with open(os.path.join(folder, "b.model"), "rb") as f:
        proto.ParseFromString(f.read())
    plain = [t for t in texts if "▁" not in t and "\0" not in t]
    with open(os.path.join(out, "sentencepiece-bpe.json"), "w", encoding="utf-8") as f:
        json.dump({"pieces": [[p.piece, p.score, p.type] for p in proto.pieces], "cases": [[t, sp.encode(t)] for t in plain]}, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")

t = trained(models.BPE(), bpe(350, ["<|endoftext|>"]), normalizer=normalizers.Lowercase(), pre=pre_tokenizers.ByteLevel(add_prefix_space=False))
t.decoder = decoders.ByteLevel()
t.add_tokens([AddedToken("THANKS", normalized=True), AddedToken("Thanks", normalized=False), AddedToken("tok", single_word=True, normalized=True), AddedToken("[MASK]", lstrip=True, rstrip=True, normalized=False)])
save("added", t)

with open(os.path.join(out, "texts.json"), "w", encoding="utf-8") as f:
    json.dump(texts, f, ensure_ascii=True, indent=0)
    f.write("\n")
