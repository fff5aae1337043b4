"""The command line. Light until a command runs: nothing but click is loaded for --help."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from wavemend import __version__
from wavemend.core.stopping import Stopped, stoppable
from wavemend.errors import InputError, WavemendError
from wavemend.shell.kinds import REMOVED, Damages, Repairs
from wavemend.shell.progress import progress

F = TypeVar("F", bound=Callable[..., Any])

INPUT = click.argument("input", type=click.Path(path_type=Path))


def _out(help: str) -> Callable[[F], F]:
    return click.option("-o", "--output", type=click.Path(path_type=Path), help=help)


SUBTYPE = click.option(
    "--subtype", metavar="NAME", help="sample format of the output, as PCM_24 or FLOAT; default: the input's"
)
EXTEND = click.option(
    "--extend",
    is_flag=True,
    help="also generate the high band where it is missing; what is generated is marked as such",
)
VOICE = click.option(
    "--voice",
    is_flag=True,
    help="speech alone is wanted: where noise is found, lower all else, music and bells too",
)
JSON = click.option("--json", "as_json", is_flag=True, help="print JSON instead of words")


def _also(extend: bool, voice: bool) -> tuple[str, ...]:
    return tuple(name for name, asked in (("extend", extend), ("voice", voice)) if asked)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wavemend")
def cli() -> None:
    """Repair recordings: find what is damaged, repair that and nothing else, and prove it."""


@cli.command()
@INPUT
@_out(help="the restored file; default: INPUT with .restored before its ending")
@click.option(
    "--plan", "plan_path", type=click.Path(path_type=Path), help="run this plan instead of a new one"
)
@click.option("--strength", type=float, default=None, help="0 changes nothing, 1 repairs in full (default)")
@click.option("--only", help="repair only these kinds of damage: KIND,KIND (see wavemend list)")
@EXTEND
@VOICE
@click.option("--residual", type=click.Path(path_type=Path), help=REMOVED)
@click.option(
    "--layers",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="also write what each step added, one file for each: input + layers = restored",
)
@click.option(
    "--report", "report_dir", type=click.Path(path_type=Path), help="also write report.html and report.json"
)
@SUBTYPE
@JSON
def restore(
    input: Path,
    output: Path | None,
    plan_path: Path | None,
    strength: float | None,
    only: str | None,
    extend: bool,
    voice: bool,
    residual: Path | None,
    layers: Path | None,
    report_dir: Path | None,
    subtype: str | None,
    as_json: bool,
) -> None:
    """Find what is wrong with INPUT, repair it, and write the restored file."""
    from wavemend.core.jsonable import to_plain
    from wavemend.restoration import words
    from wavemend.restoration.api import restore_file
    from wavemend.restoration.plan import load_plan

    kinds = tuple(kind.strip() for kind in (only or "").split(",") if kind.strip())
    if only is not None and not kinds:
        raise InputError("--only names no kind of damage; leave it out to repair all")
    if plan_path and (strength is not None or kinds or extend or voice):
        raise InputError(
            "a plan already says what to do; "
            "give --plan or --strength, --only, --extend and --voice, not both"
        )
    plan = load_plan(plan_path) if plan_path else None
    with progress() as hook:
        done = restore_file(
            input,
            output,
            plan=plan,
            strength=1.0 if strength is None else strength,
            only=kinds,
            also=_also(extend, voice),
            residual=residual,
            layers=layers,
            report_dir=report_dir,
            subtype=subtype,
            hook=hook,
        )
    if as_json:
        paths = {"output": str(done.output), "page": str(done.page) if done.page else None}
        content = {**paths, "changed_samples": done.changed, **to_plain(done.report)}
        click.echo(json.dumps(content, allow_nan=False))
    else:
        click.echo(words.of_report(done.report))
        click.echo(words.of_writing(done.output, done.report, done.changed))
        if done.page:
            click.echo(f"Report: {done.page}")


@cli.command()
@INPUT
@JSON
def diagnose(input: Path, as_json: bool) -> None:
    """Say what is wrong with INPUT, and where."""
    from wavemend.restoration import api, words

    with progress() as hook:
        format, findings = api.diagnose_file(input, hook)
    if as_json:
        click.echo(json.dumps([words.finding_in_seconds(f, format) for f in findings]))
    else:
        click.echo(words.of_findings(findings, format))


@cli.command()
@INPUT
@_out(help="where to write the plan as JSON, to be edited and run with restore --plan")
@EXTEND
@VOICE
def plan(input: Path, output: Path | None, extend: bool, voice: bool) -> None:
    """Say what restore would do to INPUT, without doing it.

    In words on a terminal, as JSON in a pipe or with -o.
    """
    from wavemend.core.writer import same_file
    from wavemend.restoration import api, words
    from wavemend.restoration.plan import plan_text, save_plan

    if output and same_file(output, input):
        raise InputError(f"{output}: the plan would replace the input; give another name")
    with progress() as hook:
        made = api.plan(input, also=_also(extend, voice), hook=hook)
    if output:
        save_plan(made, output)
        click.echo(f"Written: {output}")
    else:
        click.echo(words.of_plan(made) if sys.stdout.isatty() else plan_text(made), nl=sys.stdout.isatty())


@cli.command()
@click.argument("reference", type=click.Path(path_type=Path))
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
@JSON
def compare(reference: Path, files: tuple[Path, ...], as_json: bool) -> None:
    """Measure FILES against REFERENCE: distances, changed samples, loudness, true peak."""
    from wavemend.restoration import api, words

    rows = {str(path): api.compare_files(reference, path) for path in files}
    if as_json:
        click.echo(json.dumps([{"file": name, **row} for name, row in rows.items()]))
    else:
        click.echo(words.of_comparison(rows))


@cli.command(name="list")
@click.option("--model", metavar="NAME", help="print the whole card of one model, by its name or path")
@JSON
def list_(model: str | None, as_json: bool) -> None:
    """List the kinds of damage, the repairs and the models, with their parameters."""
    from wavemend.restoration import words

    if model is not None:
        from wavemend.core.jsonable import to_plain
        from wavemend.engine.model import Model

        card = Model.load(model).card
        click.echo(json.dumps(to_plain(card)) if as_json else words.of_card(card))
        return
    click.echo(json.dumps(words.catalogue()) if as_json else words.of_catalogue())


@cli.command()
@click.argument("recipe")
@click.option(
    "--data",
    multiple=True,
    type=click.Path(path_type=Path),
    help="a manifest (.csv), a folder of sound, or a shard (.zip); may be given several times",
)
@click.option(
    "--out", "folder", required=True, type=click.Path(path_type=Path), help="where all of it is kept"
)
@click.option("--minutes", type=click.FloatRange(min=0.0, min_open=True), help="end when this time is up")
@click.option("--resume", is_flag=True, help="go on with the training in the folder")
@click.option(
    "--start",
    multiple=True,
    metavar="NAME|FOLDER",
    help="begin with the weights of a model of ours (live, studio, ear) or of another training's folder; "
    "once for each part of a duet",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option(
    "--bank", type=click.Path(path_type=Path), help="where the decoded sound is kept; default: OUT/bank"
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="of each process; default: all processors, shared"
)
@click.option("--processes", type=click.IntRange(min=1), default=1, help="that share every batch; default: 1")
def train(
    recipe: str,
    data: tuple[Path, ...],
    folder: Path,
    minutes: float | None,
    resume: bool,
    start: tuple[str, ...],
    device: str,
    bank: Path | None,
    threads: int | None,
    processes: int,
) -> None:
    """Train a network by RECIPE, a .toml file or the name of one of ours, on sound of your own."""
    if importlib.util.find_spec("torch") is None:
        raise InputError("training needs PyTorch: pip install 'wavemend[train]'")
    from wavemend.training import command

    with progress() as hook:
        reason, path, card = command.train(
            command.find_recipe(recipe),
            data,
            folder,
            minutes=minutes,
            resume=resume,
            start=start,
            device=device,
            bank=bank,
            threads=threads,
            processes=processes,
            hook=hook,
        )
    click.echo(f"{reason}; {card.training.steps} steps, {card.training.hours_of_sound:g} hours of sound")
    click.echo("  ".join(f"{name} {value:.3g}" for name, value in card.figures.items()))
    click.echo(f"wrote {path}")


cli.add_command(
    Repairs("repair", help="Run one repair over INPUT or a span of it, whatever the diagnosis thinks.")
)
cli.add_command(Damages("damage", help="Damage INPUT on purpose, and write down what was done."))


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 bad usage or input, 1 our own fault."""
    # The work is many small matrices; threads within them only wait for each other, which costs
    # some repairs ten times the processor time. It must be said before numpy is loaded.
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(library, "1")
    try:
        with stoppable():
            cli.main(args=None if args is None else list(args), prog_name="wavemend", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "wavemend"
        _fail(f"{error.format_message().rstrip('.')}; see {command} --help", 2)
    except Stopped:
        _fail("stopped; nothing half-written is left", 2)
    except WavemendError as error:
        _fail(str(error), 2)
    except BrokenPipeError:
        # whoever read our output has gone; there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the last door: everything that escapes is our fault and is shown
        if os.environ.get("WAVEMEND_DEBUG"):
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            _fail("no space left on the disk", 2)
        _fail(
            f"this is a fault of wavemend itself ({type(error).__name__}: {error}); "
            "run again with WAVEMEND_DEBUG=1 and report what it prints",
            1,
        )


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"wavemend: {' '.join(message.split())}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
