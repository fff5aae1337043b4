"""Two denoisers as one: one for all sound, and one for speech, asked as far as speech alone is told.

What two networks of different make get wrong about a voice differs, so the mean of their gains is
better than either (bagging; Breiman, Machine Learning 1996). How much the second one counts is
learned, bin by bin. With music in the recording, or where nobody can tell, the first one is alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from wavemend.training.cells import Memory
from wavemend.training.network import Denoiser

SHARE = 1.0  # of the second, before the sigmoid, to begin with: it is the better one where it is asked


@dataclass(frozen=True)
class Config:
    """`all` and `speech` are tables like [network], each with its kind; `all` looks no less far ahead."""

    all: dict[str, Any]
    speech: dict[str, Any]
    bins: int = 960
    frame_rate: float = 100.0


class Network(Denoiser):
    """Spectra in, complex gains out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bins = config.bins
        self.all = _denoiser(config.all, config)
        self.speech = _denoiser(config.speech, config)
        self.lookahead = self.all.lookahead
        self._waits = self.lookahead - self.speech.lookahead
        if self._waits < 0:
            raise ValueError("the network for speech cannot look farther ahead than the one for all sound")
        self._sizes = self.all.state_size(), self.speech.state_size()
        self.share = nn.Parameter(torch.full((config.bins,), SHARE))

    def hidden(self) -> list[nn.Parameter]:
        return self.all.hidden() + self.speech.hidden()

    def adopt(self, weights: Mapping[str, Tensor]) -> None:
        """Of a duet, or of one of its parts: the first one that they fit."""
        if "share" in weights:
            super().adopt(weights)
            return
        reasons = []
        for part in (self.all, self.speech):
            try:
                part.adopt(weights)
                return
            except ValueError as error:
                reasons.append(str(error))
        raise ValueError("; ".join(reasons))

    def forward(
        self, spectrum: Tensor, state: Tensor | None = None, content: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        memory = Memory(state, keeps=not self.training)
        gains = []
        for part, size in zip((self.all, self.speech), self._sizes, strict=True):
            past = None if state is None else memory.past(spectrum, size)
            answer, after = part(spectrum, past, content)
            memory.keep(after)
            gains.append(answer.float())
        first, second = gains[0], memory.late(gains[1], self._waits, axis=1)
        if content is None:
            return first, memory.flat()
        share = torch.sigmoid(self.share) * (-content).clamp(min=0.0, max=1.0)
        return first + share[:, None, :, None] * (second - first), memory.flat()


def parts_of(weights: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The weights of each part, where these are a duet's."""
    if "share" not in weights:
        return []
    return [
        {key.removeprefix(part): value for key, value in weights.items() if key.startswith(part)}
        for part in ("all.", "speech.")
    ]


def _denoiser(table: Mapping[str, Any], config: Config) -> Denoiser:
    from wavemend.training.networks import build

    made = build(table, config.bins, config.frame_rate)
    if not isinstance(made, Denoiser):
        raise ValueError(f"'{table.get('kind')}' is not a denoiser")
    return made
