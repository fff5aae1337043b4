"""python -m bench.gather_training CLONES OUT: the free sound of docs/training-data.csv, out of clones.

CLONES holds clones of the repositories named there, each as OWNER+NAME (bare or not, or with the
git directory inside as `repo`). The files are written to OUT with a manifest.csv that `wavemend train` reads.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

LIST = Path(__file__).parents[1] / "docs" / "training-data.csv"


def gather(clones: Path, out: Path, rows: list[dict[str, str]]) -> list[str]:
    """Write the files and the manifest; the names of repositories that are missing."""
    found, missing = [], set()
    for row in rows:
        clone = clones / row["repository"].replace("/", "+")
        clone = clone / "repo" if (clone / "repo").is_dir() else clone
        target = out / row["path"]
        if not clone.is_dir():
            missing.add(row["repository"])
            continue
        if not target.is_file():
            inside = row["path"].removeprefix(f"{row['source']}/")
            shown = subprocess.run(
                ["git", "-C", str(clone), "show", f"{row['commit']}:{inside}"],
                capture_output=True,
                check=False,
            )
            if shown.returncode:
                missing.add(f"{row['repository']} at {row['commit'][:8]}")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(shown.stdout)
        found.append({name: value for name, value in row.items() if name not in ("repository", "commit")})
    if found:
        with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)
    return sorted(missing)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__)
        return 2
    with LIST.open(newline="", encoding="utf-8") as file:
        missing = gather(Path(arguments[0]), Path(arguments[1]), list(csv.DictReader(file)))
    for name in missing:
        print(f"missing: {name}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
