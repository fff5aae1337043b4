"""An edge in the spectrum is found; a spectrum that merely falls is not one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from wavemend.core.types import Format
from wavemend.damage.bandwidth import DAMAGE


def noise(format: Format, tilt_db_per_octave: float = 3.0, seconds: float = 8.0) -> np.ndarray:
    """Noise that falls with frequency, over a faint floor."""
    count = round(seconds * format.sample_rate)
    rng = np.random.default_rng(1)
    hz = np.fft.rfftfreq(count, 1 / format.sample_rate)
    shape = np.maximum(hz / 100, 1) ** (-tilt_db_per_octave / 6.02)
    out = np.fft.irfft(np.fft.rfft(rng.standard_normal((format.channels, count))) * shape, count)
    return (0.1 * out / np.abs(out).max() + 1e-6 * rng.standard_normal(out.shape)).astype(np.float32)


@pytest.mark.parametrize("rate", [22_050, 48_000, 96_000])
@pytest.mark.parametrize("cutoff_hz", [3_400.0, 5_000.0, 8_000.0])
def test_finds_the_edge(rate: int, cutoff_hz: float) -> None:
    format = Format(rate, 2)
    damaged, truth = DAMAGE.simulate(noise(format), format, seed=4, cutoff_hz=cutoff_hz)
    (finding,) = DAMAGE.detect(damaged, format)
    assert finding.measures["cutoff_hz"] == pytest.approx(truth[0].measures["cutoff_hz"], rel=0.08)


@pytest.mark.parametrize("tilt", [0.0, 6.0, 12.0, 18.0])
@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_a_slope_is_no_edge(tilt: float, rate: int) -> None:
    format = Format(rate, 1)
    assert DAMAGE.detect(noise(format, tilt), format) == ()


def test_a_lossy_low_pass_is_no_damage() -> None:
    format = Format(48_000, 1)
    sos = signal.ellip(10, 0.1, 80, 16_200, fs=48_000, output="sos")
    assert DAMAGE.detect(signal.sosfilt(sos, noise(format)).astype(np.float32), format) == ()


def test_the_lower_the_edge_the_worse() -> None:
    format = Format(48_000, 1)
    found = [
        DAMAGE.detect(DAMAGE.simulate(noise(format), format, seed=1, cutoff_hz=hz)[0], format)[0]
        for hz in (3_000.0, 6_000.0, 12_000.0)
    ]
    assert found[0].severity > found[1].severity > found[2].severity
