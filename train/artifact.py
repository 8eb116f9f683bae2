"""A trained model on disk: weights, vocabulary, scales, settings, metrics."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save

from configs.errors import ArtifactError
from eventlog.sequences import EventLog, Schema
from store.artifact import Manifest, create, verify
from train.config import TrainConfig
from train.encoder import Encoder, Parts
from train.pools import Layout
from train.scales import Scales

KIND, VERSION = "model", 1
WEIGHTS, ABOUT, METRICS = "weights.safetensors", "model.json", "metrics.json"


@dataclass(frozen=True)
class Model:
    """A trained encoder and what it was trained on."""

    folder: Path
    key: str
    manifest: Manifest
    config: TrainConfig
    schema: Schema
    """Fields and dictionaries that the encoder's codes refer to."""
    encoder: Encoder
    """In evaluation mode, on the CPU."""

    @property
    def width(self) -> int:
        """Width of the customer vector."""
        return self.encoder.width

    @property
    def metrics(self) -> list[dict[str, float]]:
        """Mean losses per epoch."""
        rows: list[dict[str, float]] = json.loads((self.folder / METRICS).read_text(encoding="utf-8"))
        return rows

    @classmethod
    def load(cls, folder: Path, *, deep: bool = True) -> "Model":
        """Read and check a model. Raises ArtifactError naming the file at fault."""
        manifest = verify(folder, KIND, VERSION, deep=deep)
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            config = TrainConfig.model_validate(about["config"])
            schema, scales = Schema.from_json(about["schema"]), Scales.from_json(about["scales"])
            encoder = new_encoder(scales, config, _parts(about, config.width))
            encoder.load_state_dict(load_file(folder / WEIGHTS))
        except (ValueError, KeyError, RuntimeError, OSError) as error:
            raise ArtifactError(f"{folder}: not a readable model ({error}); train it again") from error
        return cls(folder, manifest.key, manifest, config, schema, encoder.eval())


def new_encoder(scales: Scales, config: TrainConfig, parts: Parts | None = None) -> Encoder:
    """An untrained encoder for a log's scales, its vector shared out as for a new model unless told otherwise."""
    layout, parts = Layout(scales, config.pools), parts or Parts.of(config.width)
    return Encoder(scales, layout, config.event_width, config.hidden, parts, config.pools.prior)


def _parts(about: dict[str, Any], width: int) -> Parts:
    """The parts of a stored model's vector; the first models had neither single features nor forecasts."""
    if "parts" in about:
        return Parts(**about["parts"])
    level = min(16, width // 8)
    return Parts(width - level, level, 0, 0)


def write_model(
    folder: Path,
    key: str,
    settings: str,
    encoder: Encoder,
    config: TrainConfig,
    log: EventLog,
    metrics: list[dict[str, float]],
    figures: dict[str, Any],
) -> Model:
    """Write a finished model in one step and load it back; `settings` is the key of its settings and log alone."""
    with create(folder, KIND, VERSION, key) as writer:
        # through bytes, since safetensors' own files cannot be read by another user
        writer.path(WEIGHTS).write_bytes(save({k: v.contiguous().cpu() for k, v in encoder.state_dict().items()}))
        body = {
            "config": config.model_dump(mode="json", exclude={"accelerator", "threads"}),
            "schema": log.schema.to_json(),
            "scales": encoder.scales.to_json(),
            "parts": asdict(encoder.parts),
        }
        writer.write_json(ABOUT, body)
        writer.write_json(METRICS, metrics)
        writer.parents.update(eventlog=log.key, settings=settings)
        writer.counts.update(
            customers=log.n_customers, events=log.n_events, parameters=sum(p.numel() for p in encoder.parameters())
        )
        writer.figures.update(figures)
    return Model.load(folder)
