"""What every network of ours is: spectra in, gains out, with a state from call to call."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Denoiser(nn.Module):
    """A network that gives every bin of a spectrum a complex gain.

    `lookahead` is how many frames late its gains come; `bins` how many it hears.
    """

    bins: int
    lookahead: int

    @abstractmethod
    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, frames, bins, 2), (batch, state_size) -> gains like the spectrum, the new state.

        Gains are at most 1 in magnitude and belong to the spectrum `lookahead` frames earlier.
        Without a state a stream begins. While it is trained a network keeps no state: every
        example starts anew.
        """

    @abstractmethod
    def adopt(self, weights: Mapping[str, Tensor]) -> None:
        """Begin with the weights of a smaller network of this kind; what is new changes nothing yet.

        Raises ValueError where they do not fit.
        """

    def state_size(self) -> int:
        """Numbers in the state of one stream."""
        training = self.training
        self.eval()
        with torch.no_grad():
            _, state = self(next(self.parameters()).new_zeros(1, 1, self.bins, 2))
        self.train(training)
        return int(state.shape[1])
