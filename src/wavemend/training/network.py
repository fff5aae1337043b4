"""What every network of ours is: spectra in, with a state from call to call."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from wavemend.training.cells import Cell


class Learner(nn.Module):
    """A network; `task` is what it is for, `bins` how many it hears."""

    task: ClassVar[str]
    bins: int

    def adopt(self, weights: Mapping[str, Tensor]) -> None:
        """Begin with the weights of a network like this, or of a smaller one, if this kind can grow.

        What is new changes nothing yet.
        Raises ValueError where they do not fit.
        """
        try:
            self.load_state_dict(dict(weights))
        except RuntimeError as error:
            raise ValueError(f"the weights are of another network ({error})") from None

    def hidden(self) -> list[nn.Parameter]:
        """The weight matrices between hidden layers, which Muon trains; AdamW trains the rest."""
        return [cell.conv.get_parameter("weight") for cell in self.modules() if isinstance(cell, Cell)]


class Streaming(Learner):
    """A network that hears spectra, some frames at a time; `lookahead` is how many frames late it answers."""

    lookahead: int = 0

    def state_size(self) -> int:
        """Numbers in the state of one stream."""
        training = self.training
        self.eval()
        with torch.no_grad():
            _, state = self(next(self.parameters()).new_zeros(1, 1, self.bins, 2))
        self.train(training)
        return int(state.shape[1])


class Denoiser(Streaming):
    """A network that gives every bin of a spectrum a complex gain."""

    task = "denoise"

    @abstractmethod
    def forward(
        self, spectrum: Tensor, state: Tensor | None = None, content: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Spectrum (batch, frames, bins, 2), (batch, state_size), (batch, 1) -> gains like it, the new state.

        Gains are at most 1 in magnitude and belong to the spectrum `lookahead` frames earlier.
        `content` tells what belongs to the recording: -1 is speech alone, 1 music too, 0 (or
        none given) unknown. Without a state a stream begins. While it is trained a network keeps
        no state: every example starts anew.
        """


class Listener(Streaming):
    """A network that tells what a recording is."""

    task = "content"

    @abstractmethod
    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, frames, bins, 2), (batch, state_size) -> log odds of music, (batch, frames); new state.

        Frames hear what came before them, and no more.
        """


class Examiner(Streaming):
    """A network that tells what is wrong with a recording. `kinds` are the names of its answers, in order."""

    task = "examine"
    kinds: tuple[str, ...]
    scale: nn.Parameter
    offset: nn.Parameter
    """What log odds are multiplied and then raised by, (kinds,): set after the training."""

    @abstractmethod
    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, frames, bins, 2), (batch, state_size) -> log odds, (batch, frames, kinds); new state.

        Frames hear what came before them, and no more.
        """


class Weigher(Learner):
    """A network that says what part of each cell of a spectrogram is more than steady noise.

    It hears whole stretches, `reach` frames to both sides of each, of any number of bins.
    """

    task = "weigh"
    reach: int

    @abstractmethod
    def forward(self, over: Tensor, first: Tensor | None = None) -> Tensor:
        """Power over that of the noise, (batch, frames, bins) -> gains from 0 to 1, the same.

        `first` is the number of the first bin, (batch,), where they do not begin at 0 Hz. Frames are
        even in number, bins divisible by 4.
        """


class Extender(Streaming):
    """A network that says what would lie above the end of a band."""

    task = "extend"

    @abstractmethod
    def forward(self, spectrum: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, frames, bins, 2), (batch, state_size) -> (batch, frames, bins / SPACING), new state.

        Bins above the end of the band are zeros, and no others. What comes out are levels, each the mean
        logarithm of power of SPACING bins (core.translation), of the spectrum `lookahead` frames earlier.
        """
