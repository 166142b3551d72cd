"""When a training ends before its horizon, and which weights it keeps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rrgbench.errors import ConfigError
from rrgbench.training.state import Best, Progress, load_progress


@dataclass(frozen=True)
class EarlyStopping:
    """The rule by which a stage ends early (Prechelt, 1998): the loss has not fallen for some epochs.

    Attributes:
        patience: epochs without a better loss after which training ends.
        on: ``validate``, the loss with the true words before (no report is written, nothing is drawn), or ``train``.
        loss: the label of a loss; None is their weighted sum.
        min_delta: a loss is better where it is lower by more than this.
    """

    patience: int
    on: Literal["validate", "train"] = "validate"
    loss: str | None = None
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ConfigError("early_stopping.patience", got=self.patience, expected="1 or more")
        if self.on not in ("validate", "train"):
            raise ConfigError("early_stopping.on", got=self.on, expected="validate or train")
        if not 0 <= self.min_delta < float("inf"):
            raise ConfigError("early_stopping.min_delta", got=self.min_delta, expected="0 or more")

    @property
    def score(self) -> str:
        """What of an epoch's scores it judges by."""
        where = "validate." if self.on == "validate" else ""
        return f"{where}loss" if self.loss is None else f"{where}loss.{self.loss}"

    def judged(self, progress: Progress) -> Progress:
        """The progress after an epoch, with the best one so far, and whether training ends here."""
        epoch, value = progress.epoch - 1, progress.history[-1][self.score]
        best = progress.best
        if best is None or value < best.loss - self.min_delta:
            return replace(progress, best=Best(epoch, value))
        return replace(progress, stopped=epoch - best.epoch >= self.patience)

    def why(self, progress: Progress) -> str:
        """Why it ended, in words."""
        assert progress.best is not None, "an epoch was judged"
        least = f" by more than {self.min_delta:g}" if self.min_delta else ""
        best = f"{progress.best.loss:.6g} after epoch {progress.best.epoch + 1}"
        return f"{self.score} has not fallen{least} for {self.patience} epochs: it was {best}, whose weights are kept"


def has_stopped(folder: Path) -> bool:
    """Whether the training whose state lies in a folder ended early.

    Raises:
        StoreError: the state is missing or damaged.
    """
    return load_progress(folder).stopped
