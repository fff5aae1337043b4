"""Soft clipping: peaks rounded by tape, valves or a limiter; nothing is flat, all is changed a little.

Made by a curve without memory: tanh, arctan, or tanh about a working point off the middle, as of tape
with a bias that is wrong, which gives even harmonics too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wavemend.core.params import Param
from wavemend.core.types import Finding, Format, Region, Samples
from wavemend.damage import Damage, Drawn

CURVES = ("tanh", "arctan", "tape")
TAPE_BIAS = 0.35
SEVERE_DB = 24.0


def draw(format: Format, samples: int, rng: np.random.Generator, *, drive_db: float, curve: int) -> Drawn:
    """The curve, drawn where none is asked for."""
    chosen = CURVES[int(rng.integers(len(CURVES))) if curve < 0 else curve]
    finding = Finding(
        "saturation",
        Region(0, max(samples, 1)),
        severity=float(np.clip(drive_db / SEVERE_DB, 0.0, 1.0)),
        confidence=1.0,
        measures={"drive_db": drive_db},
    )
    return {"drive_db": drive_db, "curve": chosen, "findings": (finding,) if samples and drive_db > 0 else ()}


def apply(samples: Samples, format: Format, drawn: Drawn) -> Samples:
    """The curve, its slope at zero kept: quiet sound stays, the highest peak is driven by drive_db."""
    peak = float(np.abs(samples).max(initial=0.0))
    if not peak or drawn["drive_db"] <= 0:
        return samples.copy()
    # at 0 dB the curve is not reached at all, at 6 dB the peak lies where it has bent by a quarter
    scale = (10 ** (drawn["drive_db"] / 20) - 1) / peak
    bent = _bent(samples.astype(np.float64) * scale, drawn["curve"]) / scale
    return np.asarray(bent, np.float32)


def _bent(x: npt.NDArray[np.float64], curve: str) -> npt.NDArray[np.float64]:
    if curve == "tanh":
        return np.tanh(x)
    if curve == "arctan":
        return np.arctan(x)
    offset = np.tanh(TAPE_BIAS)
    return np.asarray((np.tanh(x + TAPE_BIAS) - offset) / (1 - offset**2))


DAMAGE = Damage(
    name="saturation",
    title="Soft clipping",
    params={
        "drive_db": Param(
            12.0, 0.0, 40.0, "dB", "how hard the peaks are driven into the curve; 0: not at all"
        ),
        "curve": Param(
            -1, -1, 2, "", "0 tanh, 1 arctan, 2 tape with even harmonics; -1 draws one", whole=True
        ),
    },
    draw=draw,
    apply=apply,
    doc=__doc__,
)
