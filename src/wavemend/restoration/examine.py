"""The learned part of the diagnosis: findings from what the network thinks of each stretch."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from wavemend.core.types import Finding, Format, Region, Samples, runs
from wavemend.engine.examining import Examination, Stretch
from wavemend.engine.model import Model, models
from wavemend.engine.overhearing import Background, Overheard

Floats = npt.NDArray[np.float64]
NAME = "examiner"
LIKELY = 0.7  # from which on a finding is reported; as calibrated, seven of ten are then right
LEAST_S = 1.5  # with less sound than this in a stretch nothing is said of it
MOST_ODDS = 6.0  # log odds from which on a damage counts as severe
SURROUNDINGS, OVERHEARD = "environment", ("studio", "ear")
# Under speech, energy re the speech, in dB: at LEVEL_DB it may as well be noise as not; from SURELY_DB
# downwards it surely is none.
LEVEL_DB, PER_ODDS_DB, SURELY_DB = -20.0, 1.5, -28.0
NONE_ODDS = -2.0
UNAIDED, SPREAD = "unaided_log_odds", "spread_db"
"""Measures of surroundings: what the network thought before it was told what lies under speech, and how
far that goes up and down, in dB."""
EXPLAINS, STEADY_DB = ("hum", "dc", "noise"), 5.0
"""Kinds with detectors of their own that a denoiser takes from under speech too; none moves more."""


def learned(kinds: Collection[str]) -> list[str]:
    """Those of the kinds that a network that is here can find; none without ONNX Runtime."""
    if NAME not in models() or find_spec("onnxruntime") is None:
        return []
    return [kind for kind in Model.load(NAME).card.kinds if kind in kinds]


class Examiner:
    """A detector of several kinds at once: for the whole recording, ten seconds by ten."""

    def __init__(self, format: Format, kinds: Collection[str]) -> None:
        model = Model.load(NAME)
        self._kinds = {kind: place for place, kind in enumerate(model.card.kinds) if kind in kinds}
        self._examination = Examination(format, model)
        self._background: Background | None = None
        if SURROUNDINGS in self._kinds and all(name in models() for name in OVERHEARD):
            self._background = Background(format, *map(Model.load, OVERHEARD))

    def push(self, block: Samples) -> None:
        """Take the next samples, (channels, samples)."""
        self._examination.push(block)
        if self._background:
            self._background.push(block)

    def finish(self) -> Sequence[Finding]:
        """Neighbouring stretches of one damage as one finding, as sure as they are on average."""
        stretches = self._examination.finish()
        overheard = self._background.finish() if self._background else []
        found = []
        for kind, place in self._kinds.items():
            odds = np.array([s.odds[place] if s.seconds >= LEAST_S else -math.inf for s in stretches])
            heard = overheard if kind == SURROUNDINGS else []
            believed = _reconsidered(stretches, odds, heard)
            found += [
                _witnessed(_finding(kind, stretches[a:b], believed[a:b]), odds[a:b], heard)
                for a, b in runs(_belief(believed) > LIKELY)
            ]
        return found


def explained(found: Sequence[Finding], likely: float) -> list[Finding]:
    """The findings without surroundings that only a denoiser told of, where a steady kind says what."""
    others = [f.region for f in found if f.damage in EXPLAINS and f.confidence >= likely]

    def stays(finding: Finding) -> bool:
        unaided, spread_db = (finding.measures.get(name) for name in (UNAIDED, SPREAD))
        if not isinstance(unaided, int | float) or not isinstance(spread_db, int | float):
            return True
        here = finding.region
        covered = any(
            min(here.stop, other.stop) - max(here.start, other.start) > (here.stop - here.start) / 2
            for other in others
        )
        return not covered or spread_db > STEADY_DB or bool(_belief(np.array(unaided)) > LIKELY)

    return [finding for finding in found if stays(finding)]


def _witnessed(finding: Finding, odds: Floats, overheard: Sequence[Overheard]) -> Finding:
    """With what the network thought by itself, and how even what lies under speech is, if that was heard."""
    here = finding.region
    spreads = [
        heard.spread_db
        for heard in overheard
        if heard.removed_db is not None and heard.start < here.stop and here.start < heard.stop
    ]
    if not spreads:
        return finding
    return replace(
        finding, measures={**finding.measures, UNAIDED: float(np.mean(odds)), SPREAD: max(spreads)}
    )


def _reconsidered(stretches: Sequence[Stretch], odds: Floats, overheard: Sequence[Overheard]) -> Floats:
    """Log odds of surroundings, where speech alone is heard: what can be taken from under it is there."""
    odds = odds.copy()
    for heard in overheard:
        if heard.removed_db is None:
            continue
        within = [
            k for k, s in enumerate(stretches) if heard.start <= s.start < heard.stop and np.isfinite(odds[k])
        ]
        told = min((heard.removed_db - LEVEL_DB) / PER_ODDS_DB, MOST_ODDS)
        if told > 0:
            odds[within] = np.maximum(odds[within], told)
        elif heard.removed_db < SURELY_DB:
            odds[within] = np.minimum(odds[within], NONE_ODDS)
    return odds


def _belief(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -50, 50))))


def _finding(kind: str, stretches: Sequence[Stretch], odds: Floats) -> Finding:
    weights = [stretch.seconds for stretch in stretches]
    mean = float(np.average(odds, weights=weights))
    return Finding(
        kind,
        Region(stretches[0].start, stretches[-1].stop),
        severity=min(max(mean / MOST_ODDS, 0.02), 1.0),
        confidence=float(np.average(_belief(odds), weights=weights)),
        measures={"log_odds": mean},
    )
