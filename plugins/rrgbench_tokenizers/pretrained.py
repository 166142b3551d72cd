"""Any fast tokenizer of the transformers library: a domain's (ClinicalBERT's) or a language model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge
from rrgbench_pretrained import named

from rrgbench import ConfigError
from rrgbench.text import whole_characters
from rrgbench_tokenizers.framing import check_ids

_WHERE = "tokenizer pretrained"
_FALLBACKS = {"bos": ("bos_token", "cls_token"), "eos": ("eos_token", "sep_token"), "pad": ("pad_token",)}


class Pretrained:
    """A tokenizer from the hub or from a folder that ``save_pretrained`` wrote. No code of the repository is run.

    Begin and end are the tokenizer's bos and eos tokens, or its class and separator tokens where it has none, as BERT. Text is
    never taken for a special token: ``[SEP]`` in a report is read as its characters, or left out where the tokenizer's
    model itself has such a piece. A lone surrogate, which is no character, is read as U+FFFD.

    Args:
        model: a name on the hub.
        checkpoint: a folder. Its content counts in ids, its place does not.
        bos, eos, pad: the token to use in place of the tokenizer's own, or where it has none (GPT-2: ``pad: <|endoftext|>``).
        missing: a begin or padding token that the tokenizer lacks is refused, or is its end token.
        max_length: the most ids of a report, begin and end among them.

    Raises:
        ConfigError: not one of ``model`` and ``checkpoint`` is given, it cannot be loaded, or it lacks a special token for which
            no option names another.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        checkpoint: Path | None = None,
        bos: str | None = None,
        eos: str | None = None,
        pad: str | None = None,
        missing: Literal["refuse", "end"] = "refuse",
        max_length: Annotated[int, Ge(3)] = 100,
    ) -> None:
        option, name, options = named(_WHERE, model, checkpoint)
        loaded = _load(option, name, options, checkpoint)
        self._engine = loaded.backend_tokenizer
        self._engine.no_truncation()
        self._engine.no_padding()
        # Without it, "[SEP]" in a report would be the special token.
        self._engine.encode_special_tokens = True
        self.max_length = max_length
        self.vocab_size = 1 + max(self._engine.get_vocab(with_added_tokens=True).values())
        self.eos_token_id = self._special(loaded, "eos", eos, name)
        self.bos_token_id, self.pad_token_id = (
            self.eos_token_id
            if missing == "end" and given is None and _own(loaded, option) is None
            else self._special(loaded, option, given, name)
            for option, given in (("bos", bos), ("pad", pad))
        )
        self._special_ids = {self.bos_token_id, self.eos_token_id, self.pad_token_id}

    def _special(self, loaded: Any, option: str, given: str | None, name: str) -> int:
        """The id of a special token."""
        token = given if given is not None else _own(loaded, option)
        if token is None:
            raise ConfigError(
                f"{_WHERE}: {name} lacks a token for `{option}`",
                expected=f"a tokenizer with {' or '.join(_FALLBACKS[option])}",
                hint=f"name one of its tokens by the option `{option}`, such as {_example(loaded)}",
            )
        found = self._engine.token_to_id(str(token))
        if found is None:
            raise ConfigError(
                f"{_WHERE}: option `{option}`", got=repr(str(token)), expected=f"a token of {name}, such as {_example(loaded)}"
            )
        return int(found)

    def encode(self, text: str) -> list[int]:
        """``[bos, .., eos]``, at most ``max_length`` ids."""
        ids = self._engine.encode(whole_characters(text), add_special_tokens=False).ids
        kept = [index for index in ids if index not in self._special_ids][: self.max_length - 2]
        return [self.bos_token_id, *kept, self.eos_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """The text as the tokenizer writes it, without begin, end and padding; a word that it does not know stays as its mark.

        Raises:
            ValueError: an id that is not in the vocabulary.
        """
        check_ids(ids, self.vocab_size)
        kept = [index for index in ids if index not in self._special_ids]
        text: str = self._engine.decode(kept, skip_special_tokens=False)
        return text


def _own(loaded: Any, option: str) -> str | None:
    """The tokenizer's own special token."""
    return next((token for name in _FALLBACKS[option] if (token := getattr(loaded, name))), None)


def _example(loaded: Any) -> str:
    return repr(next(iter(loaded.all_special_tokens), None) or next(iter(loaded.get_vocab()), ""))


def _load(option: str, name: str, options: Mapping[str, Any], checkpoint: Path | None) -> Any:
    """A fast tokenizer of transformers."""
    # Imported here: it takes seconds, and the other tokenizers do without.
    from transformers import AutoTokenizer

    if checkpoint is not None and not checkpoint.is_dir():
        raise ConfigError(f"{_WHERE}: option `checkpoint`", got=name, expected="a folder that save_pretrained wrote")
    try:
        loaded = AutoTokenizer.from_pretrained(name, **options)
    except Exception as error:  # the tokenizers library raises a bare Exception for a file that it cannot read
        raise ConfigError(
            f"{_WHERE}: option `{option}` cannot be loaded",
            got=f"{name} ({type(error).__name__}: {error})",
            expected="a folder with a tokenizer in it" if checkpoint is not None else "a name on the hub that can be reached",
            hint=""
            if checkpoint is not None
            else "without a network, save it to a folder and name that by the option `checkpoint`",
        ) from error
    if not getattr(loaded, "is_fast", False):
        raise ConfigError(f"{_WHERE}: option `{option}`", got=f"{name}, a {type(loaded).__name__}", expected="a fast tokenizer")
    return loaded
