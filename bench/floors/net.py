"""Two layers of tanh over third octaves and their neighbours, and a small head: loss, slopes, Adam.

The loss is the pinball loss of two quantiles (Koenker and Bassett, "Regression quantiles",
Econometrica 1978), its corner rounded; steps are those of Kingma and Ba, "Adam", 2015, with a
rate that falls along half a cosine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wavemend.core.floors import MOST_OVER_MINIMUM_DB

Array = npt.NDArray[np.float64]
Net = dict[str, Array]

QUANTILES = np.array([0.15, 0.5])
REACH = 4  # bands to each side
UNITS = (16, 32)
HEAD_UNITS = 10
BATCH = 64
NET_RATE, HEAD_RATE = 3e-3, 4e-3
HEAD_EPOCHS = 60
ROUNDING = 0.05  # tens of dB
DECAY = {"net": 1e-4, "head": 2e-3}


@dataclass(frozen=True, eq=False)
class Training:
    """(samples, bands, figures) to learn from; targets in tens of dB, mask and weight, (samples, bands)."""

    figures: Array
    target: Array
    mask: Array
    weight: Array


def forward(net: Net, figures: Array, mask: Array) -> tuple[Array, Array, Array, Array]:
    """First layer, what the second is given, second layer, and the quantiles in tens of dB."""
    first = np.tanh(figures @ net["W1"] + net["b1"]) * mask[..., np.newaxis]
    padded = np.pad(first, ((0, 0), (REACH, REACH), (0, 0)))
    bands = first.shape[1]
    around = np.concatenate([padded[:, k : k + bands] for k in range(2 * REACH + 1)], axis=2)
    second = np.tanh(around @ net["W2"] + net["b2"])
    return first, around, second, second @ net["W3"] + net["b3"]


def over_and_second(net: Net, figures: Array) -> tuple[Array, Array]:
    """Of one sample, (bands, figures): its quantiles in dB over the minimum, and the second layer."""
    _, _, second, out = forward(net, figures[np.newaxis], np.ones((1, len(figures))))
    return np.minimum(10 * out[0], MOST_OVER_MINIMUM_DB), second[0]


def pinball(data: Training, out: Array) -> float:
    """The mean loss of a weight of one."""
    miss = data.target[..., np.newaxis] - out
    loss = np.maximum(QUANTILES * miss, (QUANTILES - 1) * miss)
    return float((loss * data.weight[..., np.newaxis]).sum() / data.weight.sum())


def fit_net(data: Training, seed: int, epochs: int) -> tuple[Net, Array]:
    """The layers, and the loss after each epoch, (epochs,)."""
    rng = np.random.default_rng(seed)
    count, (one, two) = data.figures.shape[2], UNITS
    wide = (2 * REACH + 1) * one
    net = {
        "W1": rng.normal(0, count**-0.5, (count, one)),
        "b1": np.zeros(one),
        "W2": rng.normal(0, wide**-0.5, (wide, two)),
        "b2": np.zeros(two),
        "W3": rng.normal(0, 0.3 * two**-0.5, (two, len(QUANTILES))),
        "b3": np.array([-1.0, -0.5]),
    }

    def slopes(now: Net, chosen: npt.NDArray[np.intp]) -> Net:
        part = Training(*(a[chosen] for a in (data.figures, data.target, data.mask, data.weight)))
        first, around, second, out = forward(now, part.figures, part.mask)
        miss = part.target[..., np.newaxis] - out
        pull = -np.where(miss > 0, QUANTILES, 1 - QUANTILES) * np.tanh(miss / ROUNDING)
        pull *= part.weight[..., np.newaxis] / (10 * len(chosen))
        to_second = (pull @ now["W3"].T) * (1 - second**2)
        to_around = to_second @ now["W2"].T
        bands = first.shape[1]
        padded = np.zeros((len(first), bands + 2 * REACH, one))
        for k in range(2 * REACH + 1):
            padded[:, k : k + bands] += to_around[:, :, k * one : (k + 1) * one]
        to_first = padded[:, REACH : REACH + bands] * part.mask[..., np.newaxis] * (1 - first**2)
        return {
            "W1": np.tensordot(part.figures, to_first, ((0, 1), (0, 1))),
            "b1": to_first.sum(axis=(0, 1)),
            "W2": np.tensordot(around, to_second, ((0, 1), (0, 1))),
            "b2": to_second.sum(axis=(0, 1)),
            "W3": np.tensordot(second, pull, ((0, 1), (0, 1))),
            "b3": pull.sum(axis=(0, 1)),
        }

    losses: list[float] = []

    def after_epoch(now: Net) -> None:
        losses.append(pinball(data, forward(now, data.figures, data.mask)[3]))

    descend(net, slopes, len(data.figures), rng, epochs, NET_RATE, DECAY["net"], after_epoch)
    return net, np.array(losses)


def fit_head(given: Array, there: Array, weight: Array, seed: int) -> Net:
    """Log odds from (samples, figures) by the logistic loss; `there` is 1 or 0, `weight` counts."""
    rng = np.random.default_rng(seed)
    middle, width = given.mean(axis=0), given.std(axis=0) + 1e-3
    z = (given - middle) / width
    head = {
        "P1": rng.normal(0, z.shape[1] ** -0.5, (z.shape[1], HEAD_UNITS)),
        "p1": np.zeros(HEAD_UNITS),
        "P2": rng.normal(0, 0.3, HEAD_UNITS),
        "p2": np.zeros(()),
    }

    def slopes(now: Net, chosen: npt.NDArray[np.intp]) -> Net:
        units = np.tanh(z[chosen] @ now["P1"] + now["p1"])
        belief = 0.5 + 0.5 * np.tanh((units @ now["P2"] + now["p2"]) / 2)
        pull = (belief - there[chosen]) * weight[chosen] / len(chosen)
        to_units = np.outer(pull, now["P2"]) * (1 - units**2)
        return {
            "P1": z[chosen].T @ to_units,
            "p1": to_units.sum(axis=0),
            "P2": units.T @ pull,
            "p2": np.asarray(pull.sum()),
        }

    descend(head, slopes, len(z), rng, HEAD_EPOCHS, HEAD_RATE, DECAY["head"])
    first = head["P1"] / width[:, np.newaxis]
    return {**head, "P1": first, "p1": head["p1"] - middle @ first}


def descend(
    net: Net,
    slopes: Callable[[Net, npt.NDArray[np.intp]], Net],
    samples: int,
    rng: np.random.Generator,
    epochs: int,
    rate: float,
    decay: float,
    after_epoch: Callable[[Net], None] | None = None,
) -> None:
    """Change `net` in place. Biases of the layers and of the head do not decay."""
    batch = min(BATCH, samples)
    steps = epochs * (samples // batch)
    mean = {name: np.zeros_like(v) for name, v in net.items()}
    square = {name: np.zeros_like(v) for name, v in net.items()}
    step = 0
    for _ in range(epochs):
        order = rng.permutation(samples)
        for start in range(0, samples - batch + 1, batch):
            step += 1
            now = rate * min(1, 10 * step / steps) * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 1e-5
            for name, slope in slopes(net, order[start : start + batch]).items():
                pulled = slope + decay * net[name] * (net[name].ndim > 0 and name[0].isupper())
                mean[name] = 0.9 * mean[name] + 0.1 * pulled
                square[name] = 0.999 * square[name] + 0.001 * pulled**2
                change = (mean[name] / (1 - 0.9**step)) / (np.sqrt(square[name] / (1 - 0.999**step)) + 1e-8)
                net[name] = net[name] - now * change
        if after_epoch:
            after_epoch(net)
