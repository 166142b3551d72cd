"""What CvT2DistilGPT2 does to its texts before it scores them."""

from __future__ import annotations

from typing import ClassVar, Literal


class CvT2DistilGPT2:
    """Lower case, and a space before every full stop (aehrc/cvt2distilgpt2): ``Lungs are clear.`` has four words.

    The project scores against references that its R2Gen tokenizer has cut and cleaned before; here they are whole. Commas
    stay attached to their words.
    """

    changes_references: ClassVar[bool] = True

    def prepare(self, text: str, side: Literal["prediction", "reference"]) -> str:
        """The text; its spaces are left as they are, so that ROUGE sees the empty word between two."""
        return text.lower().replace(".", " .")
