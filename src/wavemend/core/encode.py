"""Sound as the bytes of a file, for pages and archives that carry it inside."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import soundfile

from wavemend.core.types import Samples
from wavemend.errors import MediaError

OPUS_KBITS = 96


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


def can_encode_opus() -> bool:
    """Whether the libsndfile that is installed writes Opus."""
    return bool("OPUS" in soundfile.available_subtypes("OGG"))


def encode_clip(clip: npt.NDArray[np.int16], sample_rate: int, *, opus: bool) -> bytes:
    """16-bit mono (samples,) as FLAC, bit for bit, or as Ogg Opus at 96 kbit/s."""
    file = io.BytesIO()
    if opus:
        # libsndfile's scale goes from 256 kbit/s a channel at 0 to 6 at 1
        level = 1 - (OPUS_KBITS - 6) / 250
        sound = clip.astype(np.float32) / 32768
        soundfile.write(file, sound, sample_rate, format="OGG", subtype="OPUS", compression_level=level)
    else:
        soundfile.write(file, clip, sample_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def decode_clip(data: bytes) -> npt.NDArray[np.int16]:
    """What `encode_clip` made, (samples,); MediaError where it is damaged or not mono."""
    try:
        # integers straight from Opus would wrap around beyond full scale
        found, _ = soundfile.read(io.BytesIO(data), dtype="float64")
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise MediaError(f"a clip cannot be decoded: {error}") from None
    if found.ndim != 1:
        raise MediaError("a clip is not mono")
    clip: npt.NDArray[np.int16] = np.clip(np.rint(found * 32768), -32768, 32767).astype(np.int16)
    return clip
