"""How good a network is, in figures that mean something, on scenes that it does not learn from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wavemend.training.feed import Feed
from wavemend.training.network import Streaming
from wavemend.training.transform import Transform

Signal = npt.NDArray[np.float64]
CUT_DB = 3.0
MOST_CUT = 0.013


def si_sdr(target: Signal, out: Signal) -> float:
    """Scale-invariant SDR in dB (Le Roux et al., ICASSP 2019); at most 80."""
    scale = np.dot(target, out) / max(np.dot(target, target), 1e-12)
    error = out - scale * target
    wanted = scale * scale * np.dot(target, target)
    return float(10 * np.log10((wanted + 1e-12) / (np.dot(error, error) + wanted * 1e-8 + 1e-12)))


def cut_share(target: Signal, out: Signal, n_fft: int = 2048) -> float:
    """Share of the target's energy in cells of the spectrum that came out more than 3 dB weaker."""
    window = np.hanning(n_fft)
    cells = [
        np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(x, n_fft)[:: n_fft // 4] * window)) ** 2
        for x in (target, out)
    ]
    weak = cells[1] < cells[0] * 10 ** (-CUT_DB / 10)
    return float((cells[0] * weak).sum() / max(cells[0].sum(), 1e-12))


@dataclass(frozen=True)
class Scored(ABC):
    """Figures over the first `batches` batches of a feed."""

    feed: Feed
    transform: Transform
    batches: int

    @abstractmethod
    def __call__(self, network: Any, device: torch.device) -> dict[str, float]:
        """Figures by name; of all networks the best has the highest `score`."""


class Validation(Scored):
    """Of a denoiser; names tell the kind of target: speech, music…"""

    @torch.no_grad()
    def __call__(self, network: Streaming, device: torch.device) -> dict[str, float]:
        """Means: `…_gain` SI-SDR gained, dB; `…_cut` share cut beyond the noise's own; `clean_…`; `score`."""
        network.eval()
        rows: dict[str, list[float]] = defaultdict(list)
        for batch in self.feed.batches(0, self.batches):
            mixture = batch["mixture"].to(device)
            spectra = self.transform.analyse(mixture)
            restored = restore(network, spectra, batch["content"].to(device))
            out = self.transform.synthesise(restored, mixture.shape[1]).cpu()
            for given, target, sound, kind in zip(
                batch["mixture"].double().numpy(),
                batch["target"].double().numpy(),
                out.double().numpy(),
                batch["kind"],
                strict=True,
            ):
                _measure(rows, kind, target, given, sound)
        figures = {name: float(np.mean(values)) for name, values in sorted(rows.items())}
        # over scenes, not over kinds: the few scenes of a rare kind must not decide
        gains = [value for name, values in rows.items() if name.endswith("_gain") for value in values]
        cuts = [max(value - MOST_CUT, 0.0) for name, value in figures.items() if name.endswith("music_cut")]
        short = max(25.0 - figures.get("clean_sdr", 25.0), 0.0)
        figures["score"] = float(np.mean(gains or [0.0]) - 50 * np.mean(cuts or [0.0]) - 0.2 * short)
        return figures


def _measure(rows: dict[str, list[float]], kind: str, target: Signal, given: Signal, out: Signal) -> None:
    what = kind.split("/", maxsplit=1)[0]
    if np.dot(target, target) < 1e-6:
        left = np.dot(out, out) / max(np.dot(given, given), 1e-12)
        rows[f"{what}_left_db"].append(float(10 * np.log10(left + 1e-8)))
    elif np.array_equal(target, given):
        rows["clean_sdr"].append(si_sdr(target, out))
        rows["clean_cut"].append(cut_share(target, out))
    else:
        rows[f"{what}_gain"].append(si_sdr(target, out) - si_sdr(target, given))
        rows[f"{what}_cut"].append(cut_share(target, out) - cut_share(target, given))


def restore(
    network: Streaming,
    spectra: torch.Tensor,
    content: torch.Tensor | None = None,
    called: Callable[..., Any] | None = None,
) -> torch.Tensor:
    """Spectra with the network's gains, its look-ahead taken back; `called` is the network, compiled."""
    ahead = network.lookahead
    gains, _ = (network if called is None else called)(
        torch.nn.functional.pad(spectra, (0, 0, 0, 0, 0, ahead)), None, content
    )
    gains = gains[:, ahead:].float()
    real = spectra[..., 0] * gains[..., 0] - spectra[..., 1] * gains[..., 1]
    turned = spectra[..., 0] * gains[..., 1] + spectra[..., 1] * gains[..., 0]
    return torch.stack((real, turned), dim=3)


def log_odds_loss(odds: torch.Tensor, kinds: Sequence[str], silent: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy of music's log odds, (batch, frames), where speech or music sounds."""
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    music, counts = labels(kinds, silent)
    return (loss(odds, music, reduction="none") * counts).sum() / counts.sum().clamp(min=1)


def labels(kinds: Sequence[str], silent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether there is music in the scene, and what counts; both like `silent`, (batch, frames), 0 or 1."""
    what = [kind.split("/", maxsplit=1)[0] for kind in kinds]
    music = torch.tensor([float(one in ("music", "both")) for one in what], device=silent.device)
    known = torch.tensor([float(one in ("speech", "music", "both")) for one in what], device=silent.device)
    return music[:, None].expand(silent.shape), known[:, None] * (~silent)


class Heard(Scored):
    """Of a listener."""

    @torch.no_grad()
    def __call__(self, network: Streaming, device: torch.device) -> dict[str, float]:
        """`loss`; shares of scenes of speech and of music that are told right over all frames; `score`."""
        network.eval()
        losses, right = [], defaultdict(list)
        for batch in self.feed.batches(0, self.batches):
            odds, _ = network(self.transform.analyse(batch["mixture"].to(device)))
            silent = batch["silent"].to(device)
            losses.append(float(log_odds_loss(odds, batch["kind"], silent)))
            music, counts = labels(batch["kind"], silent)
            mean = (odds * counts).sum(dim=1) / counts.sum(dim=1).clamp(min=1)
            for value, is_music, frames in zip(mean, music[:, 0], counts.sum(dim=1), strict=True):
                if frames > 0:
                    right["music" if is_music else "speech"].append(bool((value > 0) == (is_music > 0)))
        shares = {f"{name}_right": float(np.mean(values)) for name, values in right.items()}
        return {"loss": float(np.mean(losses)), **shares, "score": -float(np.mean(losses))}
