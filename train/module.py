"""The encoder under Lightning: a thin shell that feeds batches to the objectives and keeps a history of the losses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from torch.utils.data import DataLoader

from configs.progress import Advance
from eventlog.sequences import EventLog
from store.artifact import write_atomic
from train.config import TrainConfig
from train.encoder import Encoder
from train.objectives import Objectives
from train.slices import Batch, SliceBatches

VALIDATION_STEPS = 8


class Training(lightning.LightningModule):
    """One training run. `history` holds a row of mean losses per epoch and survives a resume."""

    def __init__(self, encoder: Encoder, config: TrainConfig, steps: int) -> None:
        super().__init__()
        self.encoder, self.config, self.steps = encoder, config, steps
        self.objectives = Objectives(encoder, (config.contrast, config.next_event, config.describe), config.temperature)
        self.history: list[dict[str, float]] = []
        self._sums: dict[str, list[float]] = {}

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """All losses of a batch."""
        hidden, last = self.encoder.body(batch.events, batch.packed)
        out: dict[str, torch.Tensor] = self.objectives(hidden, last, batch, self.encoder.head)
        return out

    def _note(self, stage: str, losses: dict[str, torch.Tensor]) -> None:
        for name, value in losses.items():
            self._sums.setdefault(f"{stage}_{name}", []).append(float(value.detach()))
            self.log(f"{stage}_{name}", value.detach(), on_step=False, on_epoch=True, batch_size=1)

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """Loss of one batch."""
        losses = self.losses(batch)
        self._note("train", losses)
        return losses["loss"]

    def validation_step(self, batch: Batch, index: int) -> None:
        """Losses of one batch of held-out customers."""
        self._note("validation", self.losses(batch))

    def on_train_epoch_start(self) -> None:
        """Start the epoch's sums."""
        self._sums = {}

    def on_train_epoch_end(self) -> None:
        """Close the epoch's row of the history (validation has run by now)."""
        means = {name: round(float(np.mean(values)), 6) for name, values in sorted(self._sums.items())}
        self.history.append({"epoch": self.current_epoch, **means})
        # rewritten whole, so that a resumed run's file holds the epochs before the kill too
        write_metrics(self.history, Path(self.trainer.log_dir or self.trainer.default_root_dir) / "metrics.csv")

    def configure_optimizers(self) -> Any:
        """AdamW under one cycle of the learning rate (Smith and Topin 2018)."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.config.learning_rate, weight_decay=0.01)
        total = self.config.epochs * self.steps
        # torch divides by the warm-up's length, pct_start * total - 1, which is 0 for a fifth of five steps
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.config.learning_rate, total_steps=total, pct_start=0.25 if total == 5 else 0.2
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch; its packing stays where numpy is."""
        return batch.to(device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the history with the weights."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the history of the run that was cut off."""
        self.history = checkpoint["history"]


def write_metrics(history: list[dict[str, float]], path: Path) -> None:
    """Write the losses per epoch as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for row in history for name in row))
    lines = [",".join(names), *(",".join(str(row.get(name, "")) for name in names) for row in history)]
    write_atomic(path, "\n".join(lines) + "\n")


class Slices(lightning.LightningDataModule):
    """Training batches that depend on (seed, epoch, step) alone, and the same validation batches every time."""

    def __init__(
        self,
        log: EventLog,
        encoder: Encoder,
        config: TrainConfig,
        training: np.ndarray,
        held_out: np.ndarray,
        steps: int,
    ) -> None:
        super().__init__()
        self.make: Callable[[np.ndarray, tuple[int, ...], int], SliceBatches] = lambda customers, stream, count: (
            SliceBatches(log, encoder, config, customers, stream, count)
        )
        self.training, self.held_out, self.steps = training, held_out, steps

    def train_dataloader(self) -> DataLoader[Batch]:
        """This epoch's batches (the trainer reloads them every epoch)."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        return DataLoader(self.make(self.training, (1, epoch), self.steps), batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Fixed batches of held-out customers."""
        return DataLoader(self.make(self.held_out, (2,), VALIDATION_STEPS), batch_size=None)


class Report(lightning.Callback):
    """Tells the progress bar about every step."""

    def __init__(self, advance: Advance) -> None:
        self.advance = advance

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """One step more."""
        self.advance(1)
