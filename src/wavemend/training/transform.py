"""core.frames in torch: from sound to spectra and back, so that losses can flow through."""

from __future__ import annotations

import torch
from torch import Tensor

from wavemend.core.frames import Frames


class Transform:
    """Short-time spectra of batches, (batch, samples) <-> (batch, frames, bins, 2), on one device."""

    def __init__(self, frames: Frames, device: torch.device) -> None:
        self.frames = frames
        self._analysis = torch.from_numpy(frames.analysis).to(device)
        self._synth = torch.from_numpy(frames.synth).to(device)

    def analyse(self, sound: Tensor) -> Tensor:
        """Spectra without the bin at the Nyquist frequency."""
        hop, n_fft = self.frames.hop, self.frames.n_fft
        count = self.frames.count(sound.shape[1])
        padded = torch.nn.functional.pad(sound, (n_fft - hop, count * hop - sound.shape[1]))
        spectra = torch.fft.rfft(padded.unfold(1, n_fft, hop) * self._analysis)
        return torch.view_as_real(spectra)[:, :, :-1]

    def synthesise(self, spectra: Tensor, samples: int) -> Tensor:
        """The sound of spectra as `analyse` gives them."""
        hop, n_fft = self.frames.hop, self.frames.n_fft
        whole = torch.view_as_complex(torch.nn.functional.pad(spectra, (0, 0, 0, 1)).contiguous())
        pieces = torch.fft.irfft(whole, n_fft) * self._synth
        batch, count = pieces.shape[:2]
        length = (count - 1) * hop + n_fft
        out = torch.nn.functional.fold(pieces.transpose(1, 2), (1, length), (1, n_fft), stride=(1, hop))
        return out.reshape(batch, length)[:, n_fft - hop : n_fft - hop + samples]
