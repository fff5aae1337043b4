"""Broadband noise: what goes of it, and what goes of the sound with it."""

from __future__ import annotations

from bench.material import Material
from bench.peers import audiojs, ffmpeg, networks, python, sox
from bench.report import Cell, Section, Table, mean
from bench.systems import System, decided, forced, untouched, variants, voiced
from bench.tasks import denoise_pairs
from bench.tasks.pairs import Pair
from bench.tasks.scoring import TOP_DB, Column, Scored, score

INPUT = untouched().name


def ours() -> list[System]:
    """Each of our denoisers, forced and as `restore` would use it."""
    return [make(variant) for variant in variants() for make in (forced, decided)]


def peers() -> list[System]:
    """Everybody else who needs no more than the sound."""
    return [
        python.deepfilternet(),
        python.rnnoise(),
        networks.gtcrn(),
        networks.dtln(),
        networks.ulunas(),
        *(networks.fastenhancer(size) for size in "tbs"),
        python.webrtc(2),
        python.speex(),
        ffmpeg.arnndn(),
        ffmpeg.afftdn(),
        python.noisereduce(1.0),
        python.noisereduce(0.8),
        audiojs.omlsa(),
    ]


def told() -> list[System]:
    """Who is given half a second of the noise alone."""
    return [
        ffmpeg.afftdn_told(),
        sox.noisered(0.1),
        python.noisereduce_told(1.0),
        python.noisereduce_told(0.8),
    ]


def speech(material: Material, quick: bool) -> Section:
    """Speech under recorded noise."""
    pairs = denoise_pairs.spoken(material, quick)
    names = ("SI-SDR", "PESQ-WB", "ESTOI", "DNSMOS", "SI-SDR below 8 kHz")
    scored = score(pairs, [untouched(), *ours(), voiced(), *peers()], names)
    how = (
        "Speech at 48 kHz, each level with other noises; the ratio of speech to noise at the head, means "
        "over clips. Networks that know 16 kHz only get the sound resampled."
    )
    units = {"SI-SDR": "dB", "DNSMOS": "overall, without reference", "SI-SDR below 8 kHz": "dB"}
    tables = [
        scored.by(f"{name}, {units[name]}" if name in units else name, about, name, digits=_digits(name))
        for name, about in zip(names, [how, *["As above."] * 4], strict=True)
    ]
    kinds = "As above, by where the noise is from; few clips each, all levels together."
    tables.append(scored.by("SI-SDR by noise, dB", kinds, "SI-SDR", _noise_of))
    return Section(
        "denoise-speech",
        "Noise under speech",
        tables,
        {**scored.settings, "noises": len({p.noise for p in pairs})},
        scored.clips(),
    )


def _noise_of(pair: Pair) -> str:
    """The collection that a noise is from; of collections by kind the kind."""
    first, *rest = pair.noise.split("/")
    return rest[0].split(" - ")[-1].lower() if rest and " - " in rest[0] else first.removesuffix("-data")


def real(material: Material, quick: bool) -> Section:
    """Recorded pairs of the test set of VoiceBank-DEMAND."""
    pairs = denoise_pairs.real(quick)
    names = ("PESQ-WB", "SI-SDR", "ESTOI", "DNSMOS")
    about = (
        "Utterances of the VoiceBank-DEMAND test set, 16 kHz, that two groups of authors show "
        "beside their code; nothing of ours is trained or tuned on them. FastEnhancer learned from the "
        "training half of the same set."
    )
    if not pairs:
        where = f"No pairs: clean/ and noisy/ in a folder named by {denoise_pairs.REAL}."
        return Section(
            "denoise-real", "Noise under speech, published pairs", [Table("Means", where, ["", ""], [])]
        )
    scored = score(pairs, [untouched(), *ours(), voiced(), *peers()], names)
    table = scored.side_by_side("Means", about, {name: _mean_of(name) for name in names}, (2, 1, 2, 2))
    return Section(
        "denoise-real", "Noise under speech, published pairs", [table], scored.settings, scored.clips()
    )


def music(material: Material, quick: bool) -> Section:
    """Music under steady noise of three kinds."""
    pairs = denoise_pairs.played(material, quick)
    scored = score(pairs, [untouched(), *ours(), *peers(), *told()], ("SI-SDR", "cut"))
    how = (
        "Music at its own rate under hiss, hum left over and surface noise of discs, all made here, in turn. "
        "With a noise profile: told half a second of the noise alone. Means over clips."
    )
    cut = (
        "Share of the music's time-frequency energy in cells more than 3 dB weaker than in the clean "
        "music, less that share in the untouched input, where noise happens to oppose the music."
    )
    tables = [
        scored.by("SI-SDR by level, dB", how, "SI-SDR"),
        scored.by("SI-SDR by kind of noise, dB", "As above.", "SI-SDR", lambda pair: pair.noise),
        scored.by("Music cut by level, %", cut, "cut", beyond=INPUT, scale=100, digits=2),
        scored.by(
            "Music cut by kind of noise, %",
            "As above.",
            "cut",
            lambda pair: pair.noise,
            beyond=INPUT,
            scale=100,
            digits=2,
        ),
    ]
    return Section("denoise-music", "Noise under music", tables, scored.settings, scored.clips())


def clean(material: Material, quick: bool) -> Section:
    """Nothing to remove, and the denoiser forced."""
    said, played = denoise_pairs.speech(material, quick), denoise_pairs.music(material, quick)
    tried = [untouched(), *ours(), *peers()]
    names = ("PESQ-WB", "SI-SDR", "SI-SDR below 8 kHz", "cut")
    speech = score(denoise_pairs.unharmed(said), tried, names)
    music = score(denoise_pairs.unharmed(played), tried, ("SI-SDR", "cut"))
    about = (
        f"Clean sound forced through at full strength. SI-SDR in dB, counted as {TOP_DB:g} where it is more; "
        "cut: share of the time-frequency energy that comes out more than 3 dB weaker, %. Means, and the "
        "worst clip."
    )
    levels = {"SI-SDR": _mean_of("SI-SDR"), "worst SI-SDR": _worst("SI-SDR"), "cut": _mean_of("cut", 100)}
    quality = {
        "PESQ-WB": _mean_of("PESQ-WB"),
        "worst PESQ-WB": _worst("PESQ-WB"),
        **levels,
        "SI-SDR below 8 kHz": _mean_of("SI-SDR below 8 kHz"),
    }
    tables = [
        speech.side_by_side("Speech", about, quality, (2, 2, 1, 1, 2, 1)),
        music.side_by_side("Music", "As above.", levels, (1, 1, 2)),
    ]
    return Section(
        "denoise-clean",
        "Clean sound through the denoisers",
        tables,
        {**speech.settings, "pairs": f"{len(said)} of speech, {len(played)} of music"},
        {"speech": speech.clips(), "music": music.clips()},
    )


def _mean_of(name: str, scale: float = 1.0) -> Column:
    def cell(scored: Scored, system: str) -> Cell:
        value = mean(scored.values[system][name])
        return None if value is None else scale * value

    return cell


def _worst(name: str) -> Column:
    def cell(scored: Scored, system: str) -> Cell:
        have = [v for v in scored.values[system][name] if v is not None]
        return min(have, default=None)

    return cell


def _digits(name: str) -> int:
    return 1 if name.startswith("SI-SDR") else 2
