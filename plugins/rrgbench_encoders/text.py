"""Context to tokens: a model of the transformers library, or a small one that is trained from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from rrgbench_pretrained import check_whole, named
from torch import Tensor, nn

from rrgbench import ConfigError, Tokenizer
from rrgbench_encoders.small import SmallEncoder, WordTokenizer

_WHERE = "text encoder `transformers`"


class Transformers(nn.Module):
    """A BERT-like model that reads the context: ids (B, S) to tokens (B, S, num_features).

    With ``model`` or ``checkpoint``, any BERT-like model that ``AutoModel`` loads from the hub or a folder, from safetensors
    and without code of its own (a pooler is taken out). Without, a small pre-norm encoder with a word tokenizer over the
    train split's contexts and reports. In both, the first token is a class token, so that an empty context still has a token.

    Args:
        train_reports: the reports of the train split: their words are in the small model's vocabulary.
        train_contexts: the contexts of the train split, likewise.
        model: a name on the hub.
        checkpoint: a folder that ``save_pretrained`` wrote. Its content counts in ids, its place does not.
        max_length: a context longer than so many tokens is cut.
        hidden_size, layers, heads, dropout: of the small model.
        threshold: a word of the small model occurs at least so often in train; others are one unknown word.

    Raises:
        ConfigError: ``model`` or ``checkpoint`` cannot be loaded or lacks weights, both are given, the model reads fewer than
            ``max_length`` tokens, or its tokenizer is another model's.
    """

    tokenizer: Tokenizer

    def __init__(
        self,
        train_reports: Sequence[str],
        train_contexts: Sequence[str],
        *,
        model: str | None = None,
        checkpoint: Path | None = None,
        max_length: Annotated[int, Field(ge=3)] = 64,
        hidden_size: Annotated[int, Field(gt=0)] = 128,
        layers: Annotated[int, Field(gt=0)] = 2,
        heads: Annotated[int, Field(gt=0)] = 2,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        threshold: Annotated[int, Field(gt=0)] = 2,
    ) -> None:
        super().__init__()
        self.model: nn.Module
        if model is None and checkpoint is None:
            words = WordTokenizer([*train_contexts, *train_reports], threshold, max_length)
            self.tokenizer = words
            self.model = SmallEncoder(words.vocab_size, max_length, hidden_size, layers, heads, dropout)
            self.num_features = hidden_size
        else:
            self.tokenizer, self.model, self.num_features = _pretrained(model, checkpoint, max_length)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, S) int64 and (B, S) bool to (B, S, num_features)."""
        if isinstance(self.model, SmallEncoder):
            states: Tensor = self.model(input_ids, attention_mask)
            return states
        found: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask.long()).last_hidden_state
        return found


class PretrainedTokenizer:
    """A tokenizer of the transformers library behind ``rrgbench.Tokenizer``; bos and eos are its class and separator tokens.

    ``mask_token_id`` is None where it has no mask (GPT-2), which whoever masks words refuses. Text is never taken for a special
    token.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self._tokenizer = tokenizer
        self.max_length = max_length
        self.vocab_size: int = len(tokenizer)
        first = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
        last = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
        if first is None or last is None or tokenizer.pad_token_id is None:
            raise ConfigError(
                f"{_WHERE}: the model's tokenizer lacks special tokens",
                expected="a class (or bos), a separator (or eos) and a padding token, as BERT has",
            )
        self.bos_token_id, self.eos_token_id = int(first), int(last)
        self.pad_token_id = int(tokenizer.pad_token_id)
        self.mask_token_id: int | None = tokenizer.mask_token_id
        # A model of pieces (DeBERTa's) may know them as pieces of text too.
        self._special = {self.bos_token_id, self.eos_token_id, self.pad_token_id, self.mask_token_id}

    def encode(self, text: str) -> list[int]:
        """``[cls, .., sep]``, at most ``max_length`` ids."""
        text = text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates, which the tokenizers refuse
        found = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        words = [each for each in found if each not in self._special][: self.max_length - 2]
        return [self.bos_token_id, *words, self.eos_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """The text, without special tokens."""
        text: str = self._tokenizer.decode([int(each) for each in ids], skip_special_tokens=True)
        return text


def _pretrained(model_name: str | None, checkpoint: Path | None, max_length: int) -> tuple[Tokenizer, nn.Module, int]:
    # Imported here: it takes seconds, and the small model does without.
    import safetensors
    from transformers import AutoModel, AutoTokenizer

    option, name, options = named(_WHERE, model_name, checkpoint)
    try:
        words = AutoTokenizer.from_pretrained(name, **options)
        model, told = AutoModel.from_pretrained(name, use_safetensors=True, output_loading_info=True, **options)
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, safetensors.SafetensorError) as error:
        raise ConfigError(
            f"{_WHERE}: option `{option}` cannot be loaded",
            got=f"{name} ({type(error).__name__}: {error})",
            expected="a folder with config.json, a tokenizer and model.safetensors, or a name on the hub that can be reached",
            hint="weights in another format (pytorch_model.bin) are converted once: docs/encoders.md says how",
        ) from error
    # The pooler is taken out below.
    check_whole(_WHERE, option, name, model, [key for key in told["missing_keys"] if not key.startswith("pooler.")])
    _check_fit(words, model.float(), name, max_length)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # It reads the last layer for a classifier that is not here; it would never learn.
    return PretrainedTokenizer(words, max_length), model, int(model.config.hidden_size)


def _check_fit(words: Any, model: Any, name: str, max_length: int) -> None:
    """The model has a row for every id, and a place for every token.

    Raises:
        ConfigError: it has not.
    """
    rows = int(model.get_input_embeddings().weight.shape[0])
    if len(words) > rows:
        what = f"{_WHERE}: tokenizer and model do not belong together"
        raise ConfigError(what, got=f"{len(words)} ids and {rows} embeddings in {name}", expected="an embedding for each id")
    limit = min(int(words.model_max_length), int(getattr(model.config, "max_position_embeddings", max_length)))
    for part, table in model.named_modules():
        # RoBERTa counts places from the padding's on, so that two fewer can be read than there are.
        if part.endswith("position_embeddings") and getattr(table, "padding_idx", None) is not None:
            limit = min(limit, table.num_embeddings - table.padding_idx - 1)
    if max_length > limit:
        raise ConfigError(
            f"{_WHERE}: option `max_length` is more than the model reads",
            got=max_length,
            expected=f"at most {limit} for {name}",
        )
