"""python bench/peers/gather.py CLONES OUT: model files and test pairs out of clones of public repositories.

CLONES holds a clone of each repository, bare or not, as CLONES/OWNER+NAME or CLONES/OWNER+NAME/repo.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FAST = "a4d6c005d346ce19d6821639065613cfb24e10a5"  # later commits have no such files
FILES = (
    *(
        ("aask1357+fastenhancer", FAST, f"onnx/fastenhancer_{size}.onnx", f"peers/fastenhancer_{size}.onnx")
        for size in "tbs"
    ),
    (
        "Xiaobin-Rong+ul-unas",
        "HEAD",
        "ulunas_onnx/onnx_models/ulunas_stream_simple.onnx",
        "peers/ulunas_stream_simple.onnx",
    ),
    ("GregorR+rnnoise-models", "HEAD", "beguiling-drafter-2018-08-30/bd.rnnn", "peers/bd.rnnn"),
)
PAIRS = ("ruizhecao96+CMGAN", "hyyan2k+LiSenNet")


def main(clones: Path, out: Path) -> int:
    """Copy what is there; 1 where something is not."""
    failed = 0
    wanted = list(FILES)
    for repository in PAIRS:
        for kind in ("clean", "noisy"):
            folder = f"AudioSamples/{kind}"
            listed = git(clones, repository, "ls-tree", "-r", "--name-only", "HEAD", folder)
            if listed is None:
                failed = 1
                continue
            names = [name for name in listed.decode().splitlines() if name.endswith(".wav")]
            wanted += [(repository, "HEAD", name, f"voicebank/{kind}/{Path(name).name}") for name in names]
    for repository, commit, name, goal in wanted:
        data = git(clones, repository, "show", f"{commit}:{name}")
        if data is None:
            failed = 1
            continue
        (out / goal).parent.mkdir(parents=True, exist_ok=True)
        (out / goal).write_bytes(data)
    peers = (out / "peers").resolve()
    print(f"export WAVEMEND_PEERS='{peers}' WAVEMEND_RNNN='{peers / 'bd.rnnn'}'", end=" ")
    print(f"WAVEMEND_VOICEBANK='{(out / 'voicebank').resolve()}'")
    return failed


def git(clones: Path, repository: str, *arguments: str) -> bytes | None:
    """What git says; None, and a line on standard error, where it fails."""
    places = (clones / repository / "repo", clones / repository)
    place = next((p for p in places if p.is_dir()), None)
    if place is None:
        print(f"not there: {repository}", file=sys.stderr)
        return None
    done = subprocess.run(["git", "-C", str(place), *arguments], capture_output=True, check=False)
    if done.returncode:
        print(f"{repository}: {done.stderr.decode().strip()}", file=sys.stderr)
        return None
    return done.stdout


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
