"""Measures on mono arrays. None where the package for it is not installed, or the measure has no value."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

Array = npt.NDArray[Any]
TINY = 1e-20


def _db(ratio: float) -> float:
    return float(10 * np.log10(max(ratio, TINY)))


def sdr(clean: Array, out: Array) -> float:
    """Energy of the clean sound over that of the error, in dB; at most 200."""
    clean, out = clean.astype(np.float64), out.astype(np.float64)
    return _db(np.sum(clean**2) / max(float(np.sum((out - clean) ** 2)), TINY * float(np.sum(clean**2))))


def si_sdr(clean: Array, out: Array) -> float:
    """Scale-invariant SDR in dB (Le Roux et al., ICASSP 2019)."""
    clean = clean.astype(np.float64) - clean.mean(dtype=np.float64)
    out = out.astype(np.float64) - out.mean(dtype=np.float64)
    target = clean * (np.dot(out, clean) / max(np.dot(clean, clean), TINY))
    return sdr(target, out)


def gone(clean: Array, damaged: Array, out: Array) -> float:
    """Error before over error after, in dB; at most 200."""
    before = float(np.sum((damaged.astype(np.float64) - clean) ** 2))
    after = float(np.sum((out.astype(np.float64) - clean) ** 2))
    return _db(before / max(after, TINY * before)) if before > 0 else 0.0


def spectra(x: Array, rate: int) -> Array:
    """Power in frames of about 46 ms, hop a quarter, (frames, bins)."""
    n = 2 ** round(np.log2(0.046 * rate))
    if len(x) < n:
        x = np.pad(x, (0, n - len(x)))
    frames = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), n)[:: n // 4]
    power: Array = np.abs(np.fft.rfft(frames * np.hanning(n), axis=1)) ** 2
    return power


def lsd(clean: Array, out: Array, rate: int) -> float:
    """Log-spectral distance in dB: RMS over bins, mean over frames; floor 90 dB below the peak."""
    a, b = spectra(clean, rate), spectra(out, rate)
    floor = a.max() * 1e-9 + TINY
    difference = 10 * np.log10((a + floor) / (b + floor))
    return float(np.mean(np.sqrt(np.mean(difference**2, axis=1))))


def around(clean: Array, out: Array, rate: int, start: int, stop: int) -> tuple[Array, Array]:
    """Both, cut to the frames of `spectra` whose middle lies between start and stop."""
    half = 2 ** round(np.log2(0.046 * rate)) // 2
    part = slice(max(start - half, 0), stop + half)
    return clean[part], out[part]


def erb_distance(clean: Array, out: Array, rate: int) -> float:
    """Mean absolute difference in dB of the levels in 40 bands, floor 60 dB below the loudest.

    Triangular bands of equal width on the ERB scale (Glasberg and Moore 1990) in the frames of `spectra`.
    """
    power = [spectra(x, rate) for x in (clean, out)]
    top = 21.4 * np.log10(1 + 0.00437 * min(rate / 2, 18_000))
    edges = (10 ** (np.linspace(2, top, 42) / 21.4) - 1) / 0.00437
    hz = np.arange(power[0].shape[1]) * rate / (2 * (power[0].shape[1] - 1))
    rising = (hz - edges[:-2, np.newaxis]) / np.diff(edges)[:-1, np.newaxis]
    falling = (edges[2:, np.newaxis] - hz) / np.diff(edges)[1:, np.newaxis]
    bands = np.clip(np.minimum(rising, falling), 0, None).T
    a, b = power[0] @ bands, power[1] @ bands
    floor = a.max() * 1e-6 + TINY
    return float(np.mean(np.abs(10 * np.log10((a + floor) / (b + floor)))))


def lsd_field(clean: Array, out: Array, rate: int, reach_hz: float = 0.0) -> float:
    """Log-spectral distance in bels, as papers on bandwidth extension measure it (AP-BWE and others).

    Hann windows of 2048 samples, hop 512, over edges that are mirrored; the decimal logarithm of power, not
    below 1e-8; its RMS over bins, and the mean over frames. With `reach_hz`, over the bins up to there.
    """
    frames = []
    for x in (clean, out):
        padded = np.pad(x.astype(np.float64), 1024, mode="reflect")
        cut = np.lib.stride_tricks.sliding_window_view(padded, 2048)[::512]
        power = (
            np.abs(np.fft.rfft(cut * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)), axis=1)) ** 2
        )
        frames.append(np.log10(np.maximum(power, 1e-8)))
    bins = round(reach_hz / rate * 2048) if reach_hz else 1025
    squares = (frames[0] - frames[1])[:, : min(bins, 1025)] ** 2
    return float(np.mean(np.sqrt(squares.mean(axis=1))))


def changed_below(given: Array, out: Array, rate: int, below_hz: float) -> float:
    """Energy of out - given below a frequency over that of what was given, in dB; at least -200."""
    size = len(given)
    window = np.blackman(size)
    hz = np.fft.rfftfreq(size, 1 / rate)
    error = np.abs(np.fft.rfft((out.astype(np.float64) - given) * window)[hz < below_hz]) ** 2
    return _db(float(error.sum()) / max(float((np.abs(np.fft.rfft(given * window)) ** 2).sum()), TINY))


def visqol(clean: Array, out: Array, rate: int) -> float | None:
    """ViSQOL 3 for audio, 1 to 5, by the package `visqol-python`; None without it."""
    api = _visqol()
    if api is None:
        return None
    clean, out = (soxr.resample(x.astype(np.float64), rate, 48000) for x in (clean, out))
    return float(api.measure_from_arrays(clean, out, 48000).moslqo)


def has_visqol() -> bool:
    """Whether the package is there."""
    return _visqol() is not None


@functools.cache
def _visqol() -> Any:
    if importlib.util.find_spec("visqol") is None:
        return None
    from visqol import VisqolApi

    api = VisqolApi()
    api.create(mode="audio")
    return api


def cut_share(clean: Array, out: Array, rate: int) -> float:
    """Share of the clean sound's time-frequency energy in cells that came out more than 3 dB weaker.

    Cells are those of `spectra`; each counts by its energy in the clean sound. Noise alone
    makes cells weaker too, where it happens to oppose the sound: subtract the share of the
    untouched input to see what a denoiser cuts beyond that.
    """
    a, b = spectra(clean, rate), spectra(out, rate)
    return float(a[b < a * 10**-0.3].sum() / max(a.sum(), TINY))


def pesq_wb(clean: Array, out: Array, rate: int) -> float | None:
    """PESQ wide-band (ITU-T P.862.2), by the package `pesq`; None without it, or without speech."""
    try:
        import pesq
    except ImportError:
        return None
    try:
        return float(pesq.pesq(16000, *(_at_16k(x, rate) for x in (clean, out)), "wb"))
    except pesq.PesqError:
        return None


def estoi(clean: Array, out: Array, rate: int) -> float | None:
    """Extended STOI, through the package `pystoi`; None without it."""
    try:
        import pystoi
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # too little speech gives a warning and 1e-5
        return float(pystoi.stoi(*(_at_16k(x, rate) for x in (clean, out)), 16000, extended=True))


def si_sdr_16k(clean: Array, out: Array, rate: int) -> float:
    """SI-SDR in dB of what both have below 8 kHz."""
    return si_sdr(_at_16k(clean, rate), _at_16k(out, rate))


def dnsmos(out: Array, rate: int) -> float | None:
    """DNSMOS P.835, overall (Reddy et al., ICASSP 2022), without a reference; None without its network.

    The network comes with the package `speechmos` and judges 9.01 s, again every second; what is
    shorter is repeated. Levels beyond full scale are clipped, as a player would.
    """
    network = _dnsmos_network()
    if network is None:
        return None
    x = np.clip(_at_16k(out, rate), -1, 1).astype(np.float32)
    size = int(9.01 * 16000)
    while len(x) < size:
        x = np.concatenate((x, x))
    starts = range(0, len(x) - size + 1, 16000)
    given = network.get_inputs()[0].name
    raw = [network.run(None, {given: x[np.newaxis, at : at + size]})[0][0][2] for at in starts]
    return float(np.mean(np.polyval((-0.06766283, 1.11546468, 0.04602535), raw)))


@functools.cache
def _dnsmos_network() -> Any:
    found = importlib.util.find_spec("speechmos")
    if found is None or not found.submodule_search_locations:
        return None
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    file = Path(found.submodule_search_locations[0], "dnsmos_models", "sig_bak_ovr.onnx")
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _at_16k(x: Array, rate: int) -> Array:
    resampled: Array = (
        soxr.resample(x.astype(np.float64), rate, 16000) if rate != 16000 else x.astype(np.float64)
    )
    return resampled
