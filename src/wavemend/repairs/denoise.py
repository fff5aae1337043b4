"""Lower broadband noise that lies under a whole recording, and leave its colour as it was.

Use when: hiss, surface noise or the air of a room lies steadily under speech or music.
Not for:  hum (its tones stand out), crackle and clicks, voices in the background.
Method:   a network hears short-time spectra and says what part of each cell is sound. Only the
          difference that it makes is brought to the recording's rate and added, so that above
          its band (24 kHz) nothing changes, the hiss there included. Wherever music belongs to
          the recording, `studio` leaves the work to a smaller network, `grain`, which
          holds every cell against the noise's known power and sees nothing else: what is steady is
          noise, whatever the instrument, and all that is not stays. `classic` is no
          network: every cell is held against the noise's known power there, in two passes.
          Power averaged over neighbours before and after decides how much of a cell is
          sound (where a wide neighbourhood is as quiet as the floor, none is); the sound
          so found, averaged again, gives a Wiener gain. As both averages look to both
          sides, no recursion is needed and single cells of noise do not ring out
          ("musical noise"). The two-step idea is that of Plapous et al., "Improved
          signal-to-noise ratio estimation for speech enhancement", IEEE TASLP 2006; the
          averaging over blocks that of Yu, Mallat and Bacry, "Audio denoising by
          time-frequency block thresholding", IEEE TSP 2008.
Channels: all get the same gain, so that the stereo image stays in its place: of a network, what
          their mean power asks for, of `classic` the largest that any of them asks for.
Content:  what is noise beside speech may be all that is wanted elsewhere: a bell, a dog, a motor. By
          default a small network listens (`auto`), six seconds ahead with `studio`, not at all with
          `live`; speech alone is taken for granted only where nothing around sounds like music.
          `any` keeps whatever may be wanted: with `studio` only steady noise is lowered then.
Models:   `wavemend list` says what each network is, how long a sample waits in it, and what it
          learned from; a network of your own is used by path, with its card beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wavemend.core.noise import BANDS_HZ, frame_length
from wavemend.core.params import Choice, Options, Param
from wavemend.core.types import Finding, Format
from wavemend.engine.choosing import Chosen
from wavemend.engine.masking import Masked
from wavemend.engine.model import SUFFIX, Model, models
from wavemend.engine.stream import Stream
from wavemend.engine.wiener import Wiener
from wavemend.errors import InputError
from wavemend.repairs import Repair

CLASSIC = "classic"
BEST = "studio"  # for files, where a sample may wait
ALONE = ("model", CLASSIC)
EAR = "ear"
GRAIN = "grain"
OTHERS = (EAR, GRAIN, "examiner", "upper")  # networks that are no denoisers by themselves
NAMES = (*(name for name in models() if name not in OTHERS), CLASSIC)  # no card is read before it is needed
TOLD = {"speech": -1.0, "any": 0.0, "music": 1.0}
HEARD = "auto"


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    """One stream for all channels."""
    floor_db = options["floor_db"]
    if options["model"] == CLASSIC:
        n_fft = frame_length(format.sample_rate, options["window_ms"])
        return Wiener(format, floors_of(format, findings), n_fft, floor_db, options["smoothing"])
    used = networks(options)
    steady = _weighed(format, findings, floor_db, used.grain) if used.grain else None
    if steady is not None and used.ear is None:
        return steady
    masked = Masked(format, used.denoiser, floor_db, TOLD.get(options["content"], 0.0), used.ear)
    return masked if steady is None else Chosen(format, masked, steady, masked.course.plain)


def _weighed(format: Format, findings: Sequence[Finding], floor_db: float, grain: Model) -> Stream:
    n_fft = 2 * round(format.sample_rate * grain.card.hop / grain.card.sample_rate)
    return Wiener(format, floors_of(format, findings), n_fft, floor_db, model=grain)


def floors_of(format: Format, findings: Sequence[Finding]) -> npt.NDArray[np.float64] | None:
    """The noise that the findings know, in dB at BANDS_HZ, (channels, bands); None where they know none.

    A channel whose findings hold no floor takes that of another's.
    """
    known = [f for f in findings if "floor_db_per_hz" in f.measures]
    for finding in known:
        shape = finding.measures["floor_db_per_hz"]
        if not isinstance(shape, tuple) or len(shape) != len(BANDS_HZ) or max(map(abs, shape)) > 400:
            raise InputError(f"denoise: floor_db_per_hz must be {len(BANDS_HZ)} numbers in dB")
    if not known:
        return None
    rows = []
    for channel in range(format.channels):
        own = [f for f in known if f.region.of_channel(channel)] or known
        shapes = np.array([f.measures["floor_db_per_hz"] for f in own], np.float64).reshape(-1, len(BANDS_HZ))
        spans = np.array([f.region.stop - f.region.start for f in own], np.float64)
        rows.append(np.average(shapes, axis=0, weights=spans))
    return np.array(rows)


@dataclass(frozen=True)
class Networks:
    """A denoiser, an ear that tells it what belongs to the recording, and who takes over beside music."""

    denoiser: Model
    ear: Model | None = None
    grain: Model | None = None


def networks(options: Options) -> Networks:
    """What the options need. `studio` leaves all but speech to `grain`; other networks do all themselves.

    InputError where the model is no denoiser, and where it is told what it cannot hear.
    """
    model, content = Model.load(options["model"]), options["content"]
    if model.card.task != "denoise":
        raise InputError(f"denoise: the model {model.card.name} is for '{model.card.task}'")
    if content in ("speech", "music") and not model.card.told:
        raise InputError(f"denoise: {model.card.name} cannot be told the content; leave out --content")
    if not model.card.told:
        return Networks(model)
    ear = Model.load(EAR) if content == HEARD and EAR in models() else None
    if ear is not None and ear.card.sample_rate != model.card.sample_rate:
        ear = None
    asked = content in ("any", "music") or ear is not None
    helped = options["model"] == BEST and asked and GRAIN in models()
    return Networks(model, ear, Model.load(GRAIN) if helped else None)


def rests_on(options: Options) -> dict[str, str]:
    """The weights; InputError unless they are there, with the card that belongs to them."""
    if options["model"] == CLASSIC:
        return {}
    used = networks(options)
    cards = [model.card for model in (used.denoiser, used.ear, used.grain) if model]
    return {f"model {card.name}": f"{card.version}, sha256 {card.sha256}" for card in cards}


REPAIR = Repair(
    name="denoise",
    title="Lower broadband noise",
    treats=("noise",),
    scope="steady",
    own_params={
        "model": Choice(
            BEST if BEST in NAMES else CLASSIC, NAMES, "what tells sound from noise", suffix=SUFFIX
        ),
        "content": Choice(
            HEARD,
            (HEARD, *TOLD),
            "what belongs to the recording; beside speech alone, all else is noise",
            unless=ALONE,
        ),
        "floor_db": Param(
            24.0,
            0.0,
            80.0,
            "dB",
            "how far the noise is lowered at most; what is left keeps its colour",
            default_with=(*ALONE, 18.0),
        ),
        "smoothing": Param(
            1,
            1,
            4,
            "",
            "neighbours that the gains are averaged over; more is calmer, and duller",
            whole=True,
            only_with=ALONE,
        ),
        "window_ms": Param(
            40.0,
            10.0,
            100.0,
            "ms",
            "length of the windows: long for held notes, short for attacks",
            only_with=ALONE,
        ),
    },
    build=build,
    rests_on=rests_on,
    doc=__doc__,
    min_confidence=0.9,
)
