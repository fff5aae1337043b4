"""What a training makes small.

Compressed spectra weigh quiet and loud alike (Ephrat et al., "Looking to listen", 2018;
Braun and Tashev, "A consolidated view of loss functions for supervised speech
enhancement", 2021). The ratio of energies is the scale-dependent SDR of Le Roux et al.
(2019), on spectra. Taking too much costs more than leaving too much. Bins of which
nobody knows the truth do not count.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wavemend.training.recipe import Loss
from wavemend.training.transform import Transform

QUIET = 1e-9
HIGH_HZ = 8_000.0


def spectral(out: Tensor, target: Tensor, known: Tensor, cut: float) -> tuple[Tensor, Tensor]:
    """Mean squared differences of compressed spectra and of their magnitudes, where `known`.

    Magnitudes are compressed to their fourth root. Spectra are (batch, frames, bins, 2), `known`
    (batch, frames, bins) of 0 and 1.
    """
    power_out = out.square().sum(dim=3) + QUIET
    power = target.square().sum(dim=3) + QUIET
    # roots of roots: a power with a broken exponent costs five times as much
    size_out, size = power_out.sqrt().sqrt().sqrt(), power.sqrt().sqrt().sqrt()
    factor, wanted = size_out * power_out.rsqrt(), size * power.rsqrt()
    compressed = out * factor.unsqueeze(3) - target * wanted.unsqueeze(3)
    lost = torch.where(size_out < size, cut, 1.0)
    count = known.sum() + 1
    complex_part = (compressed.square().sum(dim=3) * known).sum() / count
    magnitude_part = ((size_out - size).square() * lost * known).sum() / count
    return complex_part, magnitude_part


def ratio_db(out: Tensor, target: Tensor, known: Tensor, cut: float, enough_db: float) -> Tensor:
    """Error to target in dB, mean over the batch; what is `enough_db` below the target hardly counts.

    Examples whose target is silent count as 0.
    """
    power = target.square().sum(dim=3)
    lost = torch.where(out.square().sum(dim=3) < power, cut, 1.0)
    error = ((out - target).square().sum(dim=3) * lost * known).sum(dim=(1, 2))
    wanted = (power * known).sum(dim=(1, 2))
    ratio = 10 * torch.log10((error + 10 ** (-enough_db / 10) * wanted + 1e-6) / (wanted + 1e-6))
    heard = wanted > 1e-3
    return (ratio * heard).sum() / len(ratio)


class Criterion:
    """The loss of a recipe: `total` and its parts by name."""

    def __init__(self, settings: Loss, transform: Transform) -> None:
        self.settings, self.transform = settings, transform

    def __call__(
        self, out: Tensor, mixture: Tensor, target: Tensor, band_hz: Tensor, silent: Tensor, sound: Tensor
    ) -> dict[str, Tensor]:
        """All spectra (batch, frames, bins, 2); `silent` (batch, frames); `sound` the target's samples."""
        settings, frames, whole = self.settings, self.transform.frames, out
        hz = torch.arange(frames.bins, device=out.device) * (frames.sample_rate / frames.n_fft)
        if settings.every > 1:
            counts = torch.cat((torch.nonzero(hz < HIGH_HZ), torch.nonzero(hz >= HIGH_HZ)[:: settings.every]))
            counts = counts.flatten()
            hz, out, mixture, target = hz[counts], *(x[:, :, counts] for x in (out, mixture, target))
        known = ((hz < band_hz[:, None])[:, None, :] | silent[:, :, None]).float()
        level = mixture.square().sum(dim=3).mean(dim=(1, 2)).clamp(min=1e-10).rsqrt()
        scale = level[:, None, None, None]
        given, wanted = out * scale, target * scale
        complex_part, magnitude = spectral(given, wanted, known, settings.cut)
        parts = {
            "complex": complex_part * settings.complex,
            "magnitude": magnitude * settings.magnitude,
            "sdr": ratio_db(given, wanted, known, settings.cut, settings.enough_db) * settings.sdr,
        }
        if settings.resolutions and settings.multi:
            restored = self.transform.synthesise(whole, sound.shape[1])
            parts["multi"] = self._multi(restored * level[:, None], sound * level[:, None], band_hz)
        return {"total": torch.stack(list(parts.values())).sum(), **parts}

    def _multi(self, restored: Tensor, sound: Tensor, band_hz: Tensor) -> Tensor:
        total = restored.new_zeros(())
        rate = self.transform.frames.sample_rate
        for size in self.settings.resolutions:
            window = torch.hann_window(size, device=sound.device)
            window = window / window.square().sum().sqrt()
            both = torch.cat((restored, sound))
            spectra = torch.stft(both, size, size // 2, size, window, return_complex=True)
            pairs = torch.view_as_real(spectra.transpose(1, 2))
            hz = torch.arange(size // 2 + 1, device=sound.device) * (rate / size)
            known = (hz < band_hz[:, None])[:, None, :].float().expand(-1, pairs.shape[1], -1)
            out, wanted = pairs.chunk(2)
            total = total + sum(spectral(out, wanted, known, self.settings.cut))
        return total * (self.settings.multi / len(self.settings.resolutions))
