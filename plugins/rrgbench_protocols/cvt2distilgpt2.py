"""What CvT2DistilGPT2 does to its texts before it scores them."""

from __future__ import annotations

from typing import ClassVar, Literal

from rrgbench.text import words


class CvT2DistilGPT2:
    """Lower case, and a space before every full stop (aehrc/cvt2distilgpt2): ``Lungs are clear.`` has four words.

    The project scores against references that its R2Gen tokenizer has cut and cleaned before; here they are whole. Commas
    stay attached to their words. Spaces are single, so that a report that is written with spaces before its full stops
    scores the same as one without.
    """

    changes_references: ClassVar[bool] = True

    def prepare(self, text: str, side: Literal["prediction", "reference"]) -> str:
        """Words parted by single spaces."""
        return " ".join(words(text.lower().replace(".", " .")))
