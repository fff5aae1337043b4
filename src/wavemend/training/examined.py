"""How an examiner learns and is judged: answers frame by frame, findings from their means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import optimize, special

from wavemend.training.network import Examiner, Streaming
from wavemend.training.validate import Scored

Floats = npt.NDArray[np.float64]
LIKELY = 0.5
BINS = 10
FLATTEST, STEEPEST = 0.05, 20.0


class Examined(Scored):
    """Of an examiner, by whole cases: a kind's mean log odds against whether it held in most of them."""

    @torch.no_grad()
    def means(self, network: Streaming, device: torch.device) -> tuple[Floats, Floats, float]:
        """Mean log odds, (cases, kinds); whether it held, 1, 0, or nan where unknown; the loss."""
        network.eval()
        odds, held, losses = [], [], []
        for batch in self.feed.batches(0, self.batches):
            answer, _ = network(self.transform.analyse(batch["mixture"].to(device)))
            answer = answer.float().cpu()
            counts, holds = batch["counts"], batch["holds"]
            losses.append(float(loss_of(answer, holds, counts)))
            total = counts.sum(dim=1).clamp(min=1)
            odds.append(((answer * counts).sum(dim=1) / total).double().numpy())
            share = ((holds * counts).sum(dim=1) / total).double().numpy()
            clear = (counts.sum(dim=1).numpy() > 0) & ((share < 0.05) | (share > 0.6))
            held.append(np.where(clear, share > LIKELY, np.nan))
        return np.concatenate(odds), np.concatenate(held), float(np.mean(losses))

    def __call__(self, network: Streaming, device: torch.device) -> dict[str, float]:
        """`loss`; of each kind the area under its ROC curve, `…_auc`; `score`, the mean of these."""
        odds, held, loss = self.means(network, device)
        areas = {f"{kind}_auc": _area(o, h) for kind, o, h in _columns(network, odds, held)}
        known = [area for area in areas.values() if np.isfinite(area)]
        figures = {name: float(np.nan_to_num(area, nan=-1.0)) for name, area in areas.items()}
        return {"loss": loss, **figures, "score": float(np.mean(known or [0.0])) - loss}

    def calibrate(self, network: Streaming, device: torch.device) -> dict[str, float]:
        """Set a network's scale and offset so that its beliefs are right as often as they say (Platt, 1999).

        Returns, of each kind, the shares of damaged and undamaged cases that are told right, and the
        expected calibration error.
        """
        assert isinstance(network, Examiner)
        network.scale.fill_(1.0)
        network.offset.fill_(0.0)
        odds, held, _ = self.means(network, device)
        figures: dict[str, float] = {}
        sure: list[Floats] = []
        for place, (kind, o, h) in enumerate(_columns(network, odds, held)):
            known = np.isfinite(h)
            if len(np.unique(h[known])) < 2:
                continue
            scale, offset = platt(o[known], h[known])
            network.scale[place], network.offset[place] = scale, offset
            belief, truth = special.expit(scale * o[known] + offset), h[known] > LIKELY
            figures[f"{kind}_found"] = float(np.mean(belief[truth] > LIKELY))
            figures[f"{kind}_spared"] = float(np.mean(belief[~truth] <= LIKELY))
            sure.append(np.stack((belief, truth.astype(np.float64))))
        if sure:
            figures["calibration_error"] = calibration_error(*np.concatenate(sure, axis=1))
        return figures


def _columns(network: Streaming, odds: Floats, held: Floats) -> Sequence[tuple[str, Floats, Floats]]:
    assert isinstance(network, Examiner)
    return list(zip(network.kinds, odds.T, held.T, strict=True))


def _area(odds: Floats, held: Floats) -> float:
    """How often a damaged case has higher odds than an undamaged one; nan where there is no such pair."""
    yes, no = odds[held == 1], odds[held == 0]
    if not len(yes) or not len(no):
        return float("nan")
    above = (yes[:, None] > no[None]).mean() + 0.5 * (yes[:, None] == no[None]).mean()
    return float(above)


def platt(odds: Floats, held: Floats) -> tuple[float, float]:
    """A scale and an offset of log odds by maximum likelihood, (cases,) each."""

    def cost(given: Floats) -> float:
        raised = np.exp(given[0]) * odds + given[1]
        return float(np.mean(np.logaddexp(0, raised) - held * raised) + 1e-3 * given[0] ** 2)

    found = optimize.minimize(cost, np.zeros(2), method="Nelder-Mead", options={"maxiter": 2000})
    return float(np.clip(np.exp(found.x[0]), FLATTEST, STEEPEST)), float(found.x[1])


def calibration_error(belief: Floats, right: Floats) -> float:
    """The expected calibration error over equal bins (Naeini et al., AAAI 2015)."""
    place = np.minimum((belief * BINS).astype(int), BINS - 1)
    gaps = [abs(float(np.sum(belief[place == k] - right[place == k]))) for k in range(BINS)]
    return sum(gaps) / max(len(belief), 1)


def loss_of(odds: torch.Tensor, holds: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy, all (batch, frames, kinds), over what counts."""
    loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, holds, reduction="none")
    return (loss * counts).sum() / counts.sum().clamp(min=1)
