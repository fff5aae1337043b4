"""Training sound comes out of clones as its list says, with a manifest that training reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import soundfile
from bench.gather_training import gather

from wavemend.training.material import read_material


def test_files_come_from_the_commit_that_is_named(tmp_path: Path) -> None:
    clone = tmp_path / "clones" / "me+sounds"
    (clone / "a").mkdir(parents=True)
    soundfile.write(clone / "a" / "rain.wav", np.full(4800, 0.25), 48_000)
    git = ["git", "-C", str(clone), "-c", "user.name=me", "-c", "user.email=me@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "rain"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    (clone / "a" / "rain.wav").unlink()
    row = {"repository": "me/sounds", "commit": commit.strip(), "path": "mine/a/rain.wav", "role": "noise"}
    row |= {"source": "mine", "licence": "CC0-1.0", "split": "train"}
    lost = [row | {"repository": "you/gone"}, row | {"path": "mine/b.wav"}]
    missing = gather(tmp_path / "clones", tmp_path / "out", [row, *lost])
    assert missing == [f"me/sounds at {commit[:8]}", "you/gone"]
    files = read_material(tmp_path / "out" / "manifest.csv")
    assert [(file.path.name, file.licence) for file in files] == [("rain.wav", "CC0-1.0")]
    assert soundfile.info(files[0].path).frames == 4800
