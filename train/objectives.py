"""What the recurrent body is trained to do, as losses over packed slices.

Shapes: S slices, B customers, Q predicted events, H hidden width, F features.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.encoder import Encoder, Head
from train.slices import Batch


def contrast(z: Tensor, owner: Tensor, temperature: float) -> Tensor:
    """Supervised softmax contrast (Khosla et al. 2020) of unit vectors z [S, *]: one customer's slices attract."""
    similarity = z @ z.T / temperature
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    log_share = similarity - similarity.masked_fill(itself, -math.inf).logsumexp(1, keepdim=True)
    same = (owner[:, None] == owner[None]) & ~itself
    return -(log_share.masked_fill(~same, 0).sum(1) / same.sum(1).clamp(min=1)).mean()


class NextEvent(nn.Module):
    """Predicts the next event from the hidden state: categories by cross-entropy, numbers and gap by Huber's loss."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.sizes = encoder.scales.vocabulary
        self.categories = nn.ModuleList(nn.Linear(encoder.hidden, size) for size in self.sizes)
        self.numbers = nn.Linear(encoder.hidden, len(encoder.scales.units) + 1)

    def forward(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Mean loss over fields; `hidden` [N, H] in packed order. A category's loss is relative to a blind guess."""
        h = hidden[batch.at]
        if not len(h):
            return hidden.sum() * 0
        codes, numbers = batch.events.codes[batch.following], batch.events.numbers[batch.following]
        losses = []
        for f, guess in enumerate(self.categories):
            losses.append(functional.cross_entropy(guess(h), codes[:, f]) / math.log(self.sizes[f]))
        count = len(self.numbers.bias) - 1
        present = torch.cat([numbers[:, count : 2 * count], torch.ones_like(numbers[:, :1])], dim=1)
        wanted = torch.cat([numbers[:, :count], numbers[:, -1:]], dim=1)
        huber = functional.smooth_l1_loss(self.numbers(h), wanted, reduction="none")
        losses.append((huber * present).sum() / present.sum().clamp(min=1))
        return torch.stack(losses).mean()


class Description(nn.Module):
    """Tells the customer's pool features from one slice's hidden state; features count by their reliability."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.tell = nn.Linear(encoder.hidden, encoder.pool_features)

    def forward(self, last: Tensor, batch: Batch, head: Head) -> Tensor:
        """Weighed mean squared error; `last` [S, H]; the head says how features are scaled and weighed."""
        count = self.tell.out_features
        weight = head.weight[:count]
        wanted = ((batch.pools - head.mean[:count]) / head.scale[:count]).clamp(-4, 4)
        error: Tensor = (self.tell(last) - wanted[batch.owner]) ** 2 * weight
        return error.mean() / weight.mean().clamp(min=1e-6)


class Objectives(nn.Module):
    """All losses together, each with its weight."""

    def __init__(self, encoder: Encoder, weights: tuple[float, float, float], temperature: float) -> None:
        super().__init__()
        self.weights, self.temperature = weights, temperature
        self.project = nn.Sequential(
            nn.Linear(encoder.hidden, encoder.hidden), nn.ReLU(), nn.Linear(encoder.hidden, 64)
        )
        self.next_event = NextEvent(encoder)
        self.description = Description(encoder)

    def forward(self, hidden: Tensor, last: Tensor, batch: Batch, head: Head) -> dict[str, Tensor]:
        """Losses by name, "loss" being their weighted sum."""
        weights = self.weights
        out = {
            "contrast": contrast(functional.normalize(self.project(last), dim=1), batch.owner, self.temperature),
            "next_event": self.next_event(hidden, batch),
            "describe": self.description(last, batch, head),
        }
        out["loss"] = sum((w * v for w, v in zip(weights, out.values(), strict=True) if w), last.sum() * 0)
        return out
