"""Sound as the bytes of a file, for pages that carry it inside."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from wavemend.core.types import Samples


def encode_flac(samples: Samples, sample_rate: int) -> bytes:
    """A 16-bit FLAC file of (channels, samples), 1 to 8 channels; what exceeds full scale is clipped.

    Dithered with triangular noise from a fixed seed, but for digital silence, which stays so.
    """
    noise = np.random.default_rng(1).random((2, *samples.shape), np.float32)
    steps = samples * 32767.0
    dithered = np.where(samples == 0.0, 0.0, steps + noise[0] - noise[1])
    whole = np.clip(np.rint(dithered), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, whole.T, sample_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()
