"""All folds of a network at once in PyTorch: `torch.func` maps one network over stacked weights, on a GPU also as one CUDA graph.

torch has no rule to map its own GRU over folds (cuDNN's kernel has one set of weights), so each GRU runs here as a loop over steps with the
same weights; `tests/benchmarks/test_gpu.py` compares the two.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.training.stage import Stage
from benchmarks.made_experiment import parts_of
from benchmarks.twins_torch import TWINS, make_optimizer


class SteppedGRU(nn.Module):
    """A GRU of one layer as a loop over steps, with the parameters of `nn.GRU`; (B, T, D) to ((B, T, H), (1, B, H))."""

    def __init__(self, gru: nn.GRU):
        super().__init__()
        self.weight_ih_l0, self.weight_hh_l0 = gru.weight_ih_l0, gru.weight_hh_l0
        self.bias_ih_l0, self.bias_hh_l0 = gru.bias_ih_l0, gru.bias_hh_l0

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        projected = x @ self.weight_ih_l0.T + self.bias_ih_l0
        state = projected.new_zeros(x.shape[0], self.weight_hh_l0.shape[1])
        states = []
        for step in projected.unbind(1):
            reset, update, new = step.chunk(3, dim=-1)
            own_reset, own_update, own_new = (state @ self.weight_hh_l0.T + self.bias_hh_l0).chunk(3, dim=-1)
            update = torch.sigmoid(update + own_update)
            candidate = torch.tanh(new + torch.sigmoid(reset + own_reset) * own_new)
            state = candidate + update * (state - candidate)
            states.append(state)
        return torch.stack(states, dim=1), state[None]


def with_stepped_grus(net: nn.Module) -> nn.Module:
    """Return the network with a `SteppedGRU` in place of each GRU."""
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GRU):
                setattr(module, name, SteppedGRU(child))
    return net


def folds_at_once(twin: str, plan: GridPlan, stage: Stage, device: str, *, as_graph: bool = False) -> Callable[[], float]:
    """Return a function that trains one more epoch of all folds at once and returns the mean training loss of its last step.

    Differs from `twins_torch.fold_after_fold`: the training parts of all folds are cut to the length of the shortest one, and its last,
    incomplete batch is left out (of a part below one batch, examples are repeated); the selection part is not predicted.

    Args:
      as_graph: capture the step, its optimizer included, as one CUDA graph.
    """
    recipe, train = plan.recipe(stage, plan.trials[0]), plan.experiment.train
    arrays = plan.data.arrays
    streams = [torch.from_numpy(np.asarray(arrays[name], np.float32)).to(device) for name in stage.streams]
    labels = torch.from_numpy(arrays["label"].astype(np.int64)).to(device)
    torch.manual_seed(0)
    nets = [with_stepped_grus(TWINS[twin](recipe.num_classes, train.dropout_rate)).to(device).train() for _ in plan.trials]
    base = with_stepped_grus(TWINS[twin](recipe.num_classes, train.dropout_rate)).to(device).train()
    parameters, buffers = torch.func.stack_module_state(nets)
    parameters = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    options = {"capturable": True} if as_graph and train.optimizer != "sgd" else {}
    optimizer = make_optimizer(train, parameters.values(), **options)
    loss_of = nn.CrossEntropyLoss(label_smoothing=train.label_smoothing)
    fitted = [part for part, _ in parts_of(plan, stage)]
    size = max(1, min(map(len, fitted)) // recipe.batch_size) * recipe.batch_size
    rows = torch.from_numpy(np.stack([np.resize(part, size) for part in fitted]).astype(np.int64)).to(device)

    def of_fold(own: Any, own_buffers: Any, index: torch.Tensor) -> torch.Tensor:
        outputs = torch.func.functional_call(base, (own, own_buffers), tuple(stream[index] for stream in streams))
        return loss_of(outputs, labels[index])

    mapped = torch.vmap(of_fold, randomness="different")

    def step(index: torch.Tensor) -> torch.Tensor:
        losses = mapped(parameters, buffers, index)
        optimizer.zero_grad(set_to_none=not as_graph)
        losses.sum().backward()
        gradients = [value.grad for value in parameters.values() if value.grad is not None]
        norms = torch.stack([one.flatten(1).square().sum(1) for one in gradients]).sum(0).sqrt()
        scale = (recipe.clip_norm / (norms + 1e-6)).clamp(max=1.0)
        for one in gradients:
            one.mul_(scale.view(-1, *[1] * (one.dim() - 1)))
        optimizer.step()
        return losses.detach()

    run = _graphed(step, rows[:, : recipe.batch_size].clone()) if as_graph else step

    def epoch() -> float:
        order = torch.stack([own[torch.randperm(own.shape[0], device=device)] for own in rows])
        losses = [run(index) for index in order.split(recipe.batch_size, dim=1)]
        return float(losses[-1].mean())

    return epoch


def _graphed(step: Callable[[torch.Tensor], torch.Tensor], example: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the step as one CUDA graph."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in itertools.repeat(None, 3):
            step(example)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        losses = step(example)

    def run(index: torch.Tensor) -> torch.Tensor:
        example.copy_(index)
        graph.replay()
        return losses.clone()

    return run
