"""Bring back the high band that a narrow recording lacks: generated, and nothing below it changed.

Use when: a recording ends far below the highest frequency that its file can hold: a telephone, an
          early codec, shellac, a file once kept at a low rate; and a likely upper band is better than none.
Not for:  evidence and archives of record: what is added was never recorded. Sound that is merely
          dark, without an end: lift it with an equaliser. A file's sample rate is not raised: convert it
          first, then extend.
Method:   a network hears short-time spectra up to the end of the band and says how strong the bands
          above would be, up to 24 kHz. Phases come from the band below the end, moved up (spectral band
          replication), and are brought into agreement by three turns of Griffin and Lim's method.
          Levels are the median of what could be there: rather too little than too much. Steady hiss goes
          on at the level that it has below the end. Only what
          lies above the end is added, up to half of the file's own sample rate; below it the
          difference is under -60 dB.
Ends:     by default the end is looked for around every place (2.5 s ahead, 5 s behind), from 1.9 to 16 kHz;
          what has no end there stays as it is, bit for bit. Steep ends are found within a few per cent;
          gentle ones (12 dB an octave and order) late by up to a quarter, or not at all: then say
          where with --cutoff-hz.
Channels: each keeps its own level and phases, so that the stereo image stays in its place.
Restore:  only runs this where somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from wavemend.core.params import Options, Param
from wavemend.core.types import Finding, Format
from wavemend.engine.extending import Extended
from wavemend.engine.model import Model
from wavemend.engine.stream import Stream
from wavemend.repairs import Repair

MODEL = "upper"


def build(format: Format, findings: Sequence[Finding], options: Options) -> Stream:
    """One stream for all channels. The findings' lowest end is taken where none is heard along the way."""
    told = [f.measures.get("cutoff_hz") for f in findings]
    expected = min((float(hz) for hz in told if isinstance(hz, float | int)), default=None)
    return Extended(format, Model.load(MODEL), options["cutoff_hz"], expected)


def rests_on(options: Options) -> dict[str, str]:
    """The weights; InputError unless they are there, with the card that belongs to them."""
    card = Model.load(MODEL).card
    return {f"model {card.name}": f"{card.version}, sha256 {card.sha256}"}


REPAIR = Repair(
    name="extend",
    title="Generate the missing high band",
    treats=("bandwidth",),
    scope="steady",
    own_params={
        "cutoff_hz": Param(
            0.0,
            0.0,
            16_000.0,
            "Hz",
            "where the band ends; 0: it is found along the way, and what does not end stays as it is",
        ),
    },
    build=build,
    rests_on=rests_on,
    doc=__doc__,
    provenance="generated",
    opt_in=True,
)
