"""Checkpoints that survive a kill: each is written beside and renamed, and a damaged one is passed over."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Checkpoint

LAST, BEST = "last.ckpt", "best.pt"


@dataclass(frozen=True)
class Resumable:
    """A checkpoint to go on from."""

    path: Path
    history: list[dict[str, float]]
    """Losses of the epochs that it holds."""
    stopped: bool
    """Whether early stopping had ended the training."""


def resumable(scratch: Path) -> Resumable | None:
    """The last whole checkpoint of a training run, None where there is none to go on from."""
    path = scratch / LAST
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        torch.load(scratch / BEST, map_location="cpu", weights_only=True)
        callbacks: dict[str, dict[str, Any]] = state["callbacks"]
        stopping = next((kept for name, kept in callbacks.items() if name.startswith("EarlyStopping")), {})
        return Resumable(path, state["history"], bool(stopping.get("stopped_epoch", 0)))
    except FileNotFoundError:
        return None
    except Exception:  # whatever torch makes of a damaged file: training starts over, which is always right
        return None


class LastEpoch(Checkpoint):
    """Writes the trainer's whole state after every epoch.

    A Checkpoint by type, so that Lightning calls it after the module has closed the epoch.
    """

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Save beside, then rename."""
        beside = self.scratch / f".{LAST}"
        trainer.save_checkpoint(beside)
        os.replace(beside, self.scratch / LAST)


class BestWeights(lightning.Callback):
    """Keeps the weights of the epoch with the lowest validation loss."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.best = float("inf")

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Save where the loss is the lowest so far."""
        loss = float(trainer.callback_metrics["validation_loss"])
        if loss < self.best:
            self.best = loss
            beside = self.scratch / f".{BEST}"
            torch.save(module.state_dict(), beside)
            os.replace(beside, self.scratch / BEST)

    def restore(self, module: lightning.LightningModule) -> None:
        """Load the best weights back."""
        module.load_state_dict(torch.load(self.scratch / BEST, map_location="cpu", weights_only=True))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the best loss of the run that was cut off."""
        self.best = state["best"]
