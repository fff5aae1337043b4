"""The weights of the noise floors: they can be made anew, and the card tells of the file that is shipped."""

from __future__ import annotations

import csv
import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bench import synth, train_floors
from bench.floors.collect import Corpus, Sample, collect, hiss, measured
from bench.floors.net import forward

from wavemend.core.floors import estimate_all, read_weights
from wavemend.core.noise import PatchMeter
from wavemend.core.types import Format

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "src" / "wavemend" / "core" / "floors.npz"
CLIPS = (("strings", "music", "train"), ("voice", "speech", "train"), ("other", "music", "valid"))
SEED = 3


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "role", "source", "licence", "tier", "split", "seconds", "group"])
        for k, (name, role, split) in enumerate(CLIPS):
            make = synth.voice if role == "speech" else synth.strings
            soundfile.write(root / f"{name}.flac", make(k, 12.5), synth.RATE_HZ)
            rows.writerow([f"{name}.flac", role, "made", "CC0-1.0", "B", split, 12.5, name])
    return root


@pytest.fixture(scope="module")
def samples(corpus: Path) -> list[list[Sample]]:
    return [list(collect(Corpus(corpus, split, "B"), 1, 4, SEED)) for split in ("train", "valid")]


def test_training_lowers_the_loss_and_gives_a_file_that_core_floors_reads(
    samples: list[list[Sample]], tmp_path: Path
) -> None:
    net, losses = train_floors.train(samples[0], samples[1], SEED, epochs=60)
    assert losses[-1] < 0.6 * losses[0]
    file = tmp_path / "floors.npz"
    digest = train_floors.export(net, file)
    assert digest == hashlib.sha256(file.read_bytes()).hexdigest()
    with file.open("rb") as made, SHIPPED.open("rb") as shipped:
        weights, known = read_weights(made), read_weights(shipped)
    assert {n: v.shape for n, v in weights.items()} == {n: v.shape for n, v in known.items()}

    sound = synth.strings(7, 6.0)[np.newaxis].astype(np.float32)
    meter = PatchMeter(Format(synth.RATE_HZ, 1))
    held = [*meter.push(sound), *meter.flush()]
    (floor,) = estimate_all(held, meter, weights)
    (sample,) = measured("one", "music", "clean", sound, None, synth.RATE_HZ)
    # what was trained is what is run, but for the two bytes of a weight
    assert floor.evidence == pytest.approx(train_floors.evidence(net, [sample])[0], abs=0.2)
    _, _, _, out = forward(net, sample.figures[np.newaxis], np.ones((1, len(sample.index))))
    likely = sample.lowest + np.minimum(10 * out[0, :, 1], 3.0)
    np.testing.assert_allclose(floor.likely_db[sample.index], likely, atol=0.2)


def test_the_same_seed_draws_the_same_samples(corpus: Path, samples: list[list[Sample]]) -> None:
    again = list(collect(Corpus(corpus, "valid", "B"), 1, 4, SEED))
    for one, other in zip(samples[1], again, strict=True):
        np.testing.assert_array_equal(one.figures, other.figures)
        assert one.snr_db == other.snr_db


def test_what_is_learned_is_the_level_of_the_noise() -> None:
    rate = synth.RATE_HZ
    noise = np.random.default_rng(0).standard_normal((1, 8 * rate)) * 0.01
    (sample,) = measured("x", "music", "made", np.zeros((1, 8 * rate), np.float32), noise, rate, 0.0)
    assert sample.truth is not None
    assert np.median(sample.truth) == pytest.approx(10 * np.log10(2 * 1e-4 / rate), abs=0.2)
    assert sample.below_db == pytest.approx(0.0, abs=0.2)


def test_some_noise_is_in_mono() -> None:
    drawn = [hiss((2, 4000), 8000, random.Random(seed)) for seed in range(30)]
    assert 1 <= sum(np.array_equal(*noise) for noise in drawn) <= 15


def test_a_tier_that_is_empty_is_refused(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "floors.npz"
    with pytest.raises(SystemExit):
        train_floors.main(["--data", str(corpus), "--out", str(out), "--tier", "A"])
    assert not out.exists()


def test_the_command_trains(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "floors.npz"
    few = ["--clips", "1", "--versions", "1", "--epochs", "2"]
    assert train_floors.main(["--data", str(corpus), "--out", str(out), "--seed", "1", *few]) == 0
    assert hashlib.sha256(out.read_bytes()).hexdigest() in capsys.readouterr().out


def test_the_card_tells_of_the_file_that_is_shipped() -> None:
    card = (ROOT / "docs" / "floors-card.md").read_text(encoding="utf-8")
    assert hashlib.sha256(SHIPPED.read_bytes()).hexdigest() in card
