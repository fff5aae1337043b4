"""Frames give back what they were made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemend.core.frames import Frames
from wavemend.errors import InputError


@settings(max_examples=30, deadline=None)
@given(hop=st.integers(2, 60), overlaps=st.integers(1, 3), extra=st.integers(0, 90))
def test_frames_overlapped_and_added_give_the_samples_back(hop: int, overlaps: int, extra: int) -> None:
    synthesis = 2 * hop * overlaps
    frames = Frames(48_000, synthesis + 2 * extra, hop, synthesis)
    samples = np.random.default_rng(1).standard_normal(6 * frames.n_fft)
    out = np.zeros_like(samples)
    for end in range(frames.n_fft, len(samples) + 1, hop):
        given = slice(end - frames.n_fft, end)
        out[given] += np.fft.irfft(np.fft.rfft(samples[given] * frames.analysis), frames.n_fft) * frames.synth
    inner = slice(frames.n_fft, len(samples) - 2 * frames.n_fft)
    np.testing.assert_allclose(out[inner], samples[inner], atol=1e-4)


def test_nothing_is_given_back_before_the_last_synthesis_samples() -> None:
    frames = Frames(48_000, 1536, 480, 960)
    assert not frames.synth[: 1536 - 960].any() and frames.synth[1536 - 960 :].all()


def test_white_noise_has_its_variance_in_every_bin() -> None:
    frames = Frames(48_000, 1536, 480, 960)
    noise = 3 * np.random.default_rng(2).standard_normal((2000, 1536))
    power = np.mean(np.abs(np.fft.rfft(noise * frames.analysis)) ** 2, axis=0)
    np.testing.assert_allclose(power[1:-1].mean(), 9, rtol=0.02)


@pytest.mark.parametrize("synthesis", [0, 480, 1000, 1920])
def test_windows_that_cannot_be_are_refused(synthesis: int) -> None:
    with pytest.raises(InputError):
        Frames(48_000, 1536, 480, synthesis)
