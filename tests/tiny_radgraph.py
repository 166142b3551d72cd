"""A tiny archive in the format of the package radgraph, with random weights, and the base model that it needs.

Loaded by tests through its path. Nothing of it is learnt: it is for how texts go in and graphs come out.
"""

from __future__ import annotations

import io
import json
import string
import tarfile
from pathlib import Path
from typing import Any

TEXT = """
    the heart lungs lung is are clear large normal no effusion pleural left right small and there in of size opacity
    pneumothorax base may represent edema with
"""
WORDS = TEXT.split()
LABELS = {
    "radgraph": ("ANAT-DP", "OBS-DP", "OBS-DA", "OBS-U"),
    "radgraph-xl": tuple(
        f"{kind}::{said}"
        for kind in ("Anatomy", "Observation", "Observation::measurement")
        for said in ("definitely present", "definitely absent", "uncertain")
    ),
}
RELATIONS = ("modify", "located_at", "suggestive_of")
BASE = "example/base"
"""The base model as the archive names it: a name on the hub that nobody has."""

WIDTH, MAX_LENGTH = 16, 64


def write_bert(folder: Path) -> Path:
    """A base model: configuration and tokenizer, no weights (those are in the archive)."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *WORDS]
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in dict.fromkeys(words)), encoding="utf-8")
    config = {
        "model_type": "bert",
        "vocab_size": len(dict.fromkeys(words)),
        "hidden_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": MAX_LENGTH,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def config(base: str) -> dict[str, Any]:
    """``config.json`` of an archive."""
    bert = {"type": "pretrained_transformer_mismatched", "model_name": base, "max_length": MAX_LENGTH}
    return {
        "dataset_reader": {"type": "dygie", "max_span_width": 3, "token_indexers": {"bert": dict(bert)}},
        "model": {
            "type": "dygie",
            "embedder": {"token_embedders": {"bert": dict(bert)}},
            "initializer": {},
            "module_initializer": {},
            "feature_size": 4,
            "max_span_width": 3,
            "target_task": "relation",
            "feedforward_params": {"num_layers": 1, "hidden_dims": 16, "dropout": 0.1},
            "loss_weights": {"ner": 1.0, "relation": 1.0, "coref": 0.0, "events": 0.0},
            "modules": {
                "ner": {},
                "coref": {"spans_per_word": 0.3, "max_antecedents": 4, "coref_prop": 0},
                "relation": {"spans_per_word": 0.5},
                "events": {
                    "trigger_spans_per_word": 0.3,
                    "argument_spans_per_word": 0.8,
                    "loss_weights": {"trigger": 0, "arguments": 0},
                },
            },
        },
    }


def write_weights(folder: Path, bert: Path, model: str = "radgraph", seed: int = 0) -> Path:
    """The extracted form: ``folder/<model>/{config.json, weights.th, vocabulary/}``."""
    import torch
    from dotmap import DotMap
    from radgraph.allennlp.data import Vocabulary
    from radgraph.allennlp.modules import text_field_embedders, token_embedders
    from radgraph.dygie.models import dygie

    inner = folder / model
    (inner / "vocabulary").mkdir(parents=True)
    (inner / "vocabulary" / "non_padded_namespaces.txt").write_text("*labels\n*tags\n")
    (inner / "vocabulary" / f"{model}__ner_labels.txt").write_text("".join(f"{name}\n" for name in ("", *LABELS[model])))
    (inner / "vocabulary" / f"{model}__relation_labels.txt").write_text("".join(f"{name}\n" for name in RELATIONS))
    (inner / "config.json").write_text(json.dumps(config(BASE)))
    settings = DotMap(config(str(bert))["model"])
    for name in ("type", "embedder", "initializer", "module_initializer"):
        del settings[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        token = token_embedders.PretrainedTransformerMismatchedEmbedder(model_name=str(bert), max_length=MAX_LENGTH)
        embedder = text_field_embedders.BasicTextFieldEmbedder({"bert": token})
        made = dygie.DyGIE(vocab=Vocabulary.from_files(str(inner / "vocabulary")), embedder=embedder, **settings)
        # Wide enough that every label and relation occurs, and a bias against most spans and pairs.
        state = made.state_dict()
    for name, value in state.items():
        if name.startswith(("_ner._ner_scorers", "_relation._relation_scorers")) and name.count(".") == 2:
            state[name] = value * 12 if name.endswith("weight") else value - (9 if "_ner" in name else 2)
    torch.save(state, inner / "weights.th")
    (inner / "vocabulary" / ".lock").unlink(missing_ok=True)
    return folder


def write_archive(path: Path, weights: Path, model: str = "radgraph") -> Path:
    """The form in which the weights are published: ``<model>.tar.gz`` with the files at its top."""
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(item for item in (weights / model).rglob("*") if item.is_file()):
            member = tarfile.TarInfo(file.relative_to(weights / model).as_posix())
            member.size = file.stat().st_size
            archive.addfile(member, io.BytesIO(file.read_bytes()))
    return path
