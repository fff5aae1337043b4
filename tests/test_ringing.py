"""Damped oscillations are found exactly where the prediction error shows them alone."""

import numpy as np
import pytest

from wavemend.core import ringing

RATE = 48_000
A = np.array([1.0, -1.6, 0.8])


@pytest.mark.parametrize(("pitch_hz", "decay_ms"), [(420, 0.9), (1300, 0.4), (5200, 0.12)])
@pytest.mark.parametrize("ends", [False, True])
def test_an_oscillation_alone_is_found(pitch_hz: float, decay_ms: float, ends: bool) -> None:
    z = np.exp((-1000 / decay_ms + 2j * np.pi * pitch_hz) / RATE)
    count = round(5 * decay_ms * RATE / 1000)
    sound = np.real((0.3 - 0.2j) * z ** np.arange(count))
    error = np.convolve(sound, A)
    ring = ringing.fit(error, A, count, RATE, ends=ends)
    assert abs(ring.z - z) < 1e-6
    assert ring.explained == pytest.approx(1, abs=1e-9)
    assert np.max(np.abs(ring.sound() - sound)) < 1e-6


def test_where_it_stops_at_once_is_seen() -> None:
    z = np.exp((-1000 / 0.5 + 2j * np.pi * 900) / RATE)
    error = np.zeros(400)
    error[:102] = np.convolve(np.real(z ** np.arange(100)), A)
    ring = ringing.fit(error, A, 80, RATE)
    assert ringing.end(ring, error, A, 168, 1e-9) == 100


def test_noise_is_no_oscillation() -> None:
    noise = np.random.default_rng(1).normal(size=300)
    assert ringing.fit(noise, A, 290, RATE).explained < 0.5
