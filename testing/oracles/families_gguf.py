"""The GGUF twin of a checkpoint, written by llama.cpp's own converter; only the vocabulary is supplied from here."""

import contextlib
import io
import logging
import sys
from pathlib import Path

import families_toy_text


def write_twin(row, folder: Path, path: Path, llama_cpp: Path, outtype):
    for entry in (llama_cpp, llama_cpp / "gguf-py"):
        if str(entry) not in sys.path:
            sys.path.insert(1, str(entry))
    import gguf
    import torch
    from conversion import ModelBase, get_model_class

    logging.disable(logging.WARNING)
    kinds = {"f32": gguf.LlamaFileType.ALL_F32, "bf16": gguf.LlamaFileType.MOSTLY_BF16, "f16": gguf.LlamaFileType.MOSTLY_F16,
             "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}
    # transformers 5 moves some keys into rope_parameters, where converters do not look.
    hparams = row["config"] | ModelBase.load_hparams(folder, False)
    with torch.inference_mode():
        # A neutral name: llama.cpp expects more special pieces of a file whose name says "phi-3".
        converter = get_model_class(row["architecture"])(folder, kinds[outtype], path, model_name="toy", hparams=hparams)

        def set_vocab():
            families_toy_text.add_to_gguf(row["text"], row["config"]["vocab_size"], converter.gguf_writer, gguf)
            if row["pooling"]:
                converter.gguf_writer.add_token_type_count(row["config"].get("type_vocab_size", 1))

        converter.set_vocab = set_vocab
        with contextlib.redirect_stderr(io.StringIO()):
            converter.write()
