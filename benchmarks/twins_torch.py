"""The networks of `benchmarks.cross_validation` in idiomatic PyTorch, and encoders with the weights of Keras models."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from avemo_jax.config import Train
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.training.stage import Stage
from benchmarks.made_experiment import parts_of


class ContextualTemporal(nn.Module):
    """A2's fused network: a GRU over each stream, both brought to one width and length, and a GRU over the two."""

    def __init__(self, num_classes: int, dropout_rate: float):
        super().__init__()
        self.audio, self.video = nn.GRU(128, 256, batch_first=True), nn.GRU(2048, 256, batch_first=True)
        self.audio_width, self.video_width, self.join = nn.Linear(256, 128), nn.Linear(256, 128), nn.Linear(256, 128)
        self.context = nn.GRU(128, 256, batch_first=True)
        self.drop, self.classes = nn.Dropout(dropout_rate), nn.Linear(256, num_classes)

    def forward(self, audio, video):
        nearest = ((2 * torch.arange(video.shape[1], device=video.device) + 1) * audio.shape[1]) // (2 * video.shape[1])
        audio = torch.tanh(self.audio_width(self.audio(audio)[0]))[:, nearest]
        video = torch.tanh(self.video_width(self.video(video)[0]))
        _, last = self.context(torch.tanh(self.join(torch.cat([audio, video], dim=-1))))
        return self.classes(self.drop(last[-1]))


class GRUAttention(nn.Module):
    """E's audio network: three GRU layers with batch norm between them, attention over time, a dense layer, batch norm."""

    def __init__(self, num_classes: int, dropout_rate: float):
        super().__init__()
        self.layers = nn.ModuleList(nn.GRU(width, 256, batch_first=True) for width in (13, 256, 256))
        self.norms = nn.ModuleList(nn.BatchNorm1d(256) for _ in range(2))
        self.from_state, self.from_step = nn.Linear(256, 1, bias=False), nn.Linear(256, 1, bias=False)
        self.dense, self.norm = nn.Linear(256, 256), nn.BatchNorm1d(256)
        self.drop, self.classes = nn.Dropout(dropout_rate), nn.Linear(256, num_classes)

    def forward(self, x):
        for index, layer in enumerate(self.layers):
            if index:
                x = self.drop(self.norms[index - 1](x.transpose(1, 2)).transpose(1, 2))
            x, last = layer(x)
        weights = torch.softmax(torch.tanh(self.from_state(last[-1])[:, None] + self.from_step(x)), dim=1)
        x = self.drop((weights * x).sum(dim=1))
        return self.classes(self.drop(self.norm(torch.relu(self.dense(x)))))


class SmallCNN(nn.Module):
    """Our small network of pictures: three blocks of convolution, pooling and layer norm on each frame, a GRU, attention."""

    def __init__(self, num_classes: int, dropout_rate: float):
        super().__init__()
        widths = (1, 8, 16, 32)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for width in widths[1:])  # one group: layer norm over the whole picture
        self.context = nn.GRU(32, 32, batch_first=True)
        self.from_state, self.from_step = nn.Linear(32, 1, bias=False), nn.Linear(32, 1, bias=False)
        self.dense, self.norm = nn.Linear(32, 32), nn.BatchNorm1d(32)
        self.drop, self.classes = nn.Dropout(dropout_rate), nn.Linear(32, num_classes)

    def forward(self, x):
        pictures = x.flatten(0, 1).permute(0, 3, 1, 2) / 127.5 - 1
        for conv, norm in zip(self.convs, self.norms, strict=True):
            pictures = torch.relu(norm(nn.functional.max_pool2d(conv(pictures), 2)))
        x, last = self.context(pictures.mean(dim=(2, 3)).unflatten(0, x.shape[:2]))
        weights = torch.softmax(torch.tanh(self.from_state(last[-1])[:, None] + self.from_step(x)), dim=1)
        return self.classes(self.drop(self.norm(torch.relu(self.dense((weights * x).sum(dim=1))))))


TWINS = {"ContextualTemporal": ContextualTemporal, "GRUAttention": GRUAttention, "SmallCNN": SmallCNN}


def fold_after_fold(twin: str, plan: GridPlan, stage: Stage, device: str = "cpu") -> Callable[[], float]:
    """Return a function that trains one more epoch of each fold, one after another, and returns the mean validation loss.

    Args:
      device: of torch, which holds all examples, as ours does.
    """
    recipe, train = plan.recipe(stage, plan.trials[0]), plan.experiment.train
    arrays = plan.data.arrays
    streams = [torch.from_numpy(np.asarray(arrays[name], np.float32)).to(device) for name in stage.streams]
    labels = torch.from_numpy(arrays["label"].astype(np.int64)).to(device)
    torch.manual_seed(0)
    nets = [TWINS[twin](recipe.num_classes, train.dropout_rate).to(device) for _ in plan.trials]
    optimizers = [make_optimizer(train, net.parameters()) for net in nets]
    parts = [[torch.from_numpy(rows.astype(np.int64)).to(device) for rows in part] for part in parts_of(plan, stage)]
    loss_of = nn.CrossEntropyLoss(label_smoothing=train.label_smoothing)

    def epoch() -> float:
        losses = []
        for net, optimizer, (fitted, select) in zip(nets, optimizers, parts, strict=True):
            net.train()
            order = fitted[torch.randperm(len(fitted), device=device)]
            for index in order.split(recipe.batch_size):
                optimizer.zero_grad(set_to_none=True)
                loss_of(net(*(stream[index] for stream in streams)), labels[index]).backward()
                nn.utils.clip_grad_norm_(net.parameters(), recipe.clip_norm)
                optimizer.step()
            net.eval()
            with torch.no_grad():
                logits = torch.cat([net(*(stream[index] for stream in streams)) for index in select.split(64)])
                losses.append(float(nn.functional.cross_entropy(logits, labels[select])))
        return float(np.mean(losses))

    return epoch


def make_optimizer(train: Train, parameters: Iterable[torch.Tensor], **options: Any) -> torch.optim.Optimizer:
    """Return the optimizer of a config."""
    if train.optimizer == "sgd":
        return torch.optim.SGD(parameters, train.learning_rate, momentum=train.momentum, **options)
    return torch.optim.AdamW(parameters, train.learning_rate, weight_decay=train.weight_decay, **options)


class _FlattenChannelsLast(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


def encoder_from_keras(model: Any) -> nn.Module:
    """Return a chain of Keras layers with its weights as a PyTorch module, for inputs (N, C, H, W).

    Raises:
      ValueError: a layer other than convolution with ReLU, max-pooling by 2, flattening, averaging over positions or dense.
    """
    layers: list[nn.Module] = []
    for layer in model.layers:
        kind = type(layer).__name__
        weights = [torch.from_numpy(np.array(one)) for one in layer.get_weights()]
        if kind == "Conv2D":
            conv = nn.Conv2d(*weights[0].shape[2:], weights[0].shape[0], padding="same")
            conv.load_state_dict({"weight": weights[0].permute(3, 2, 0, 1), "bias": weights[1]})
            layers += [conv, nn.ReLU()]
        elif kind == "MaxPooling2D":
            layers.append(nn.MaxPool2d(2))
        elif kind == "Flatten":
            layers.append(_FlattenChannelsLast())
        elif kind == "GlobalAveragePooling2D":
            layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        elif kind == "Dense":
            dense = nn.Linear(*weights[0].shape)
            dense.load_state_dict({"weight": weights[0].T, "bias": weights[1]})
            layers += [dense, nn.ReLU()] if layer.activation.__name__ == "relu" else [dense]
        elif kind != "InputLayer":
            raise ValueError(f"expected layers of a VGG, got {kind}")
    return nn.Sequential(*layers).eval()
