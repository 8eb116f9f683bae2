"""A gated recurrent unit over packed runs, with a backward pass made for the CPU.

The arithmetic is that of torch.nn.GRU (Cho et al. 2014, as in cuDNN), whose weights it shares. PyTorch's own
backward pass over packed sequences on a CPU adds up the recurrent weights' gradient step by step and is some five
times dearer than the forward pass; here a step only does what must be done in order, and the weights' gradients are
one matrix product at the end.

Shapes: N events in packed order, S sequences (longest first), H hidden width.
"""

from typing import Any

import torch
from torch import Tensor, nn


class _Scan(torch.autograd.Function):
    """From input gates [N, 3H] (reset, update, new), recurrent weights [3H, H], bias [3H] and start [S, H]."""

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, weight: Tensor, bias: Tensor, start: Tensor, sizes: list[int]
    ) -> tuple[Tensor, Tensor]:
        width = weight.shape[1]
        hidden, previous, recurrent_new = (gates.new_empty(len(gates), width) for _ in range(3))
        active = torch.empty_like(gates)
        h, across, i = start.clone(), weight.t().contiguous(), 0
        for size in sizes:
            here = slice(i, i + size)
            before = h[:size]
            previous[here] = before
            recurrent = torch.addmm(bias, before, across)
            switches = torch.sigmoid_(gates[here, : 2 * width] + recurrent[:, : 2 * width])
            new = torch.tanh_(torch.addcmul(gates[here, 2 * width :], switches[:, :width], recurrent[:, 2 * width :]))
            active[here, : 2 * width], active[here, 2 * width :] = switches, new
            recurrent_new[here] = recurrent[:, 2 * width :]
            after = torch.lerp(new, before, switches[:, width:])
            h[:size], hidden[here] = after, after
            i += size
        ctx.save_for_backward(active, recurrent_new, previous, weight)
        ctx.sizes = sizes
        return hidden, h

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        active, recurrent_new, previous, weight = ctx.saved_tensors
        width = weight.shape[1]
        reset, update, new = active.split(width, dim=1)
        to_new = (1 - update) * (1 - new * new)
        to_update = (previous - new) * update * (1 - update)
        to_reset = recurrent_new * reset * (1 - reset)
        gates = torch.empty_like(active)
        recurrent = torch.empty_like(active)
        h, stop = grads[1].clone(), len(active)
        for size in reversed(ctx.sizes):
            here = slice(stop - size, stop)
            d = h[:size] + grads[0][here]
            d_new = d * to_new[here]
            step = recurrent[here]
            torch.mul(d_new, to_reset[here], out=step[:, :width])
            torch.mul(d, to_update[here], out=step[:, width : 2 * width])
            torch.mul(d_new, reset[here], out=step[:, 2 * width :])
            gates[here, 2 * width :] = d_new
            h[:size] = torch.addmm(d * update[here], step, weight)
            stop -= size
        gates[:, : 2 * width] = recurrent[:, : 2 * width]
        return gates, recurrent.t() @ previous, recurrent.sum(0), h, None


def scan(gru: nn.GRU, events: Tensor, start: Tensor, sizes: list[int]) -> tuple[Tensor, Tensor]:
    """What `gru` makes of packed event vectors [N, W] from `start` [S, H]: all hidden states [N, H], the last [S, H].

    `sizes` is the number of sequences still running at each step.
    """
    gates, weight, bias = _input_gates(gru, events)
    out: tuple[Tensor, Tensor] = _Scan.apply(gates, weight, bias, start, sizes)  # type: ignore[no-untyped-call]
    return out


def _input_gates(gru: nn.GRU, events: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Input gates [N, 3H] of event vectors, recurrent weights and bias."""
    weights = dict(gru.named_parameters())
    gates = torch.addmm(weights["bias_ih_l0"], events, weights["weight_ih_l0"].t())
    return gates, weights["weight_hh_l0"], weights["bias_hh_l0"]


@torch.no_grad()
def last_states(gru: nn.GRU, events: Tensor, start: Tensor, sizes: list[int]) -> Tensor:
    """The last hidden states [S, H] alone, for inference: nothing is kept on the way."""
    gates, weight, bias = _input_gates(gru, events)
    width = gru.hidden_size
    h, across, i = start.clone(), weight.t().contiguous(), 0
    for size in sizes:
        entering, before = gates[i : i + size], h[:size]
        recurrent = torch.addmm(bias, before, across)
        switches = torch.sigmoid_(recurrent[:, : 2 * width].add_(entering[:, : 2 * width]))
        new = recurrent[:, 2 * width :].mul_(switches[:, :width]).add_(entering[:, 2 * width :]).tanh_()
        before.copy_(new.lerp_(before, switches[:, width:]))
        i += size
    return h
