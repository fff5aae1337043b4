"""Keep the voices of a recording, and lower everything else that sounds in it.

Use when: somebody speaks, and traffic, a café, a dog, wind or music in the next room are only in the way:
          interviews, podcasts, calls, dictation.
Not for:  recordings in which anything but speech is wanted: music, applause, the sounds of a place.
Method:   the network of `denoise` is told that speech alone belongs to the recording. Nobody can say from the
          sound whether a bell behind a voice is wanted; so this is done only where it is asked for, and no
          guard stands over it that would hold what is taken for music. What was removed can be heard.
Channels: all get the same gain, so that the stereo image stays in its place.
"""

from __future__ import annotations

from collections.abc import Sequence

from wavemend.core.params import Choice, Options, Param
from wavemend.core.types import Finding, Format
from wavemend.engine.masking import Masked
from wavemend.engine.model import SUFFIX, Model
from wavemend.engine.stream import Stream
from wavemend.repairs import Repair
from wavemend.repairs.denoise import BEST, CLASSIC, NAMES, networks

CAN = tuple(name for name in NAMES if name != CLASSIC)


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    """One stream for all channels."""
    return Masked(format, _denoiser(options), options["floor_db"], -1.0)


def _denoiser(options: Options) -> Model:
    return networks({"model": options["model"], "content": "speech"}).denoiser


def rests_on(options: Options) -> dict[str, str]:
    """The weights; InputError unless they are there, and can be told that speech alone is wanted."""
    card = _denoiser(options).card
    return {f"model {card.name}": f"{card.version}, sha256 {card.sha256}"}


REPAIR = Repair(
    name="voice",
    title="Keep the voice, lower all else",
    treats=("environment", "noise"),
    scope="steady",
    own_params={
        "model": Choice(BEST, CAN, "what tells voices from all else", suffix=SUFFIX),
        "floor_db": Param(
            24.0, 0.0, 80.0, "dB", "how far all else is lowered at most; what is left keeps its colour"
        ),
    },
    build=build,
    rests_on=rests_on,
    doc=__doc__,
    takes="anything",
    min_confidence=0.7,
    opt_in=True,
)
