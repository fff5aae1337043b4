"""python -m bench [--data FOLDER] [--quick] [--only NAME,..] [--out FOLDER]"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is read

from bench import report  # noqa: E402
from bench.material import Material  # noqa: E402
from bench.report import Section, Table  # noqa: E402
from bench.tasks import (  # noqa: E402
    clicks,
    declip,
    denoise,
    denoise_speed,
    diagnosis,
    extend,
    fill,
    fill_long,
    harm,
    hum,
    real_clicks,
    soft_clipping,
    speed,
)

TASKS = {
    "harm": harm.run,
    "clicks": clicks.run,
    "real-clicks": real_clicks.run,
    "declip": declip.run,
    "soft-clipping": soft_clipping.run,
    "hum": hum.run,
    "denoise-speech": denoise.speech,
    "denoise-real": denoise.real,
    "denoise-music": denoise.music,
    "denoise-clean": denoise.clean,
    "denoise-speed": denoise_speed.run,
    "fill": fill.run,
    "fill-long": fill_long.run,
    "extend": extend.run,
    "diagnosis": diagnosis.run,
    "speed": speed.run,
}
ORDER = [*TASKS, *(f"{name}, quick" for name in TASKS)]


def named(name: str) -> list[str]:
    """The task of this name, or all whose names begin with it and a hyphen."""
    return [task for task in TASKS if task == name or task.startswith(f"{name}-")]


def main(arguments: list[str]) -> int:
    """Run the tasks and write the results; 1 where a task failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="damage × repair × metric")
    corpus = os.environ.get("WAVEMEND_CORPUS")
    parser.add_argument(
        "--data", type=Path, default=corpus, help="corpus folder with a manifest.csv (or WAVEMEND_CORPUS)"
    )
    parser.add_argument("--split", default="test", help="split of the corpus to measure on")
    parser.add_argument(
        "--quick", action="store_true", help="few and short clips; always so without a corpus"
    )
    parser.add_argument("--only", default=",".join(TASKS), help=f"tasks, comma-separated: {', '.join(TASKS)}")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where the results go")
    given = parser.parse_args(arguments)
    wanted = [task for name in given.only.split(",") for task in named(name)]
    unknown = [name for name in given.only.split(",") if not named(name)]
    if unknown:
        parser.error(f"no task {', '.join(unknown)}; there are {', '.join(TASKS)}")
    quick = given.quick or not given.data
    material = Material(Path(given.data) if given.data else None, given.split)
    size = {"material": material.described, "size": "quick" if quick else "full"}
    facts = report.circumstances() | size
    failed = False
    for name in wanted:
        began = time.perf_counter()
        try:
            section = TASKS[name](material, quick)
        except Exception as error:  # noqa: BLE001 - one broken task must not cost the results of the others
            failed = True
            traceback.print_exc()
            lost = Table("Not measured", f"The task failed: {type(error).__name__}: {error}", ["", ""], [])
            section = Section(name, name.capitalize(), [lost])
        if quick:  # beside the full results, never in their place
            section = replace(section, name=f"{name}, quick", title=f"{section.title}, quick run")
        report.write([section], facts, given.out, ORDER)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(f"written: {given.out / 'RESULTS.md'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
