"""The command line. Light until a command runs: nothing but click is loaded for --help."""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from wavemend import __version__
from wavemend.core.stopping import WISH, Stopped, stoppable
from wavemend.errors import InputError, WavemendError

if TYPE_CHECKING:
    from wavemend.core.hook import Event, Hook
    from wavemend.core.params import Parameter

F = TypeVar("F", bound=Callable[..., Any])

INPUT = click.argument("input", type=click.Path(path_type=Path))


def _out(help: str) -> Callable[[F], F]:
    return click.option("-o", "--output", type=click.Path(path_type=Path), help=help)


SUBTYPE = click.option(
    "--subtype", metavar="NAME", help="sample format of the output, as PCM_24 or FLOAT; default: the input's"
)
JSON = click.option("--json", "as_json", is_flag=True, help="print JSON instead of words")


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
@click.option("--residual", type=click.Path(path_type=Path), help="also write what was removed")
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
    residual: Path | None,
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
    if plan_path and (strength is not None or kinds):
        raise InputError("a plan already says what to do; give --plan or --strength and --only, not both")
    plan = load_plan(plan_path) if plan_path else None
    with _progress() as hook:
        done = restore_file(
            input,
            output,
            plan=plan,
            strength=1.0 if strength is None else strength,
            only=kinds,
            residual=residual,
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

    with _progress() as hook:
        format, findings = api.diagnose_file(input, hook)
    if as_json:
        click.echo(json.dumps([words.finding_in_seconds(f, format) for f in findings]))
    else:
        click.echo(words.of_findings(findings, format))


@cli.command()
@INPUT
@_out(help="where to write the plan as JSON, to be edited and run with restore --plan")
def plan(input: Path, output: Path | None) -> None:
    """Say what restore would do to INPUT, without doing it.

    In words on a terminal, as JSON in a pipe or with -o.
    """
    from wavemend.core.writer import same_file
    from wavemend.restoration import api, words
    from wavemend.restoration.plan import plan_text, save_plan

    if output and same_file(output, input):
        raise InputError(f"{output}: the plan would replace the input; give another name")
    with _progress() as hook:
        made = api.plan(input, hook=hook)
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
@JSON
def list_(as_json: bool) -> None:
    """List the kinds of damage, the repairs and the models, with their parameters."""
    from wavemend.restoration import words

    click.echo(json.dumps(words.catalogue()) if as_json else words.of_catalogue())


class _Kinds(click.Group):
    """A group with one command for each registered kind, made from its declaration."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._registry())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        return self._command(cmd_name)

    def _registry(self) -> Sequence[str]:
        raise NotImplementedError

    def _command(self, name: str) -> click.Command:
        raise NotImplementedError


class _Repairs(_Kinds):
    def _registry(self) -> Sequence[str]:
        from wavemend.repairs import repairs

        return list(repairs)

    def _command(self, name: str) -> click.Command:
        from wavemend.repairs import repairs

        repair = repairs[name]
        params: list[click.Parameter] = [
            click.Argument(["input"], type=click.Path(path_type=Path)),
            click.Option(
                ["-o", "--output"], type=click.Path(path_type=Path), required=True, help="where to write"
            ),
            click.Option(["--start"], type=float, help="begin of the span [s]"),
            click.Option(["--stop"], type=float, help="end of the span [s]"),
            *(_option(key, param) for key, param in repair.params.items()),
        ]
        return _command(name, params, _repair(name), repair.doc, repair.title)


def _repair(name: str) -> Any:
    def command(input: Path, output: Path, start: float | None, stop: float | None, **options: Any) -> None:
        from wavemend.restoration import words
        from wavemend.restoration.api import repair_file

        given = {key: value for key, value in options.items() if value is not None}
        with _progress() as hook:
            done = repair_file(name, input, output, start_s=start, stop_s=stop, options=given, hook=hook)
        click.echo(words.of_repair(done.report))
        click.echo(words.of_writing(done.output, done.report, done.changed))

    return command


class _Damages(_Kinds):
    def _registry(self) -> Sequence[str]:
        from wavemend.damage import damages

        return list(damages)

    def _command(self, name: str) -> click.Command:
        from wavemend.damage import damages

        damage = damages[name]
        params: list[click.Parameter] = [
            click.Argument(["input"], type=click.Path(path_type=Path)),
            click.Option(
                ["-o", "--output"], type=click.Path(path_type=Path), required=True, help="where to write"
            ),
            click.Option(
                ["--seed"],
                type=click.IntRange(min=0),
                default=0,
                show_default=True,
                help="the same seed, the same bits",
            ),
            *(_option(key, param) for key, param in damage.params.items()),
        ]
        return _command(name, params, _damage(name), damage.doc, damage.title)


def _damage(name: str) -> Any:
    def command(input: Path, output: Path, seed: int, **options: float) -> None:
        from wavemend.restoration.api import damage_file

        given = {key: value for key, value in options.items() if value is not None}
        written, truth = damage_file(name, input, output, seed=seed, options=given)
        click.echo(f"Written: {written}")
        click.echo(f"The truth about it: {truth}")

    return command


def _command(
    name: str, params: list[click.Parameter], callback: Callable[..., None], doc: str, title: str
) -> click.Command:
    return click.Command(
        name,
        params=params,
        callback=callback,
        # \b keeps the lines of a paragraph as they are
        help="\n\n".join(f"\b\n{paragraph}" for paragraph in doc.strip().split("\n\n")),
        short_help=title,
        # --floor_db is as good as --floor-db
        context_settings={
            "token_normalize_func": lambda token: token.replace("_", "-"),
            "max_content_width": 110,
        },
    )


def _option(name: str, param: Parameter) -> click.Option:
    from wavemend.core.params import about, defaults

    unit = f" {param.unit}" if param.unit else ""
    number = not isinstance(param.default, str)
    return click.Option(
        [f"--{name.replace('_', '-')}", name],
        type=float if number else str,
        default=None,
        help=f"{about(param)}  [{param.range}{unit}; default {defaults(param)}]",
        metavar="NUMBER" if number else "NAME",
    )


cli.add_command(
    _Repairs("repair", help="Run one repair over INPUT or a span of it, whatever the diagnosis thinks.")
)
cli.add_command(_Damages("damage", help="Damage INPUT on purpose, and write down what was done."))


@contextmanager
def _progress() -> Iterator[Hook]:
    """A hook that draws a bar on a terminal and nothing in a pipe, and heeds the wish to stop."""

    def heed(event: Event) -> None:
        if WISH.asked:
            raise Stopped

    WISH.in_steps = True
    try:
        if sys.stderr.isatty():
            with _bar() as draw:

                def both(event: Event) -> None:
                    heed(event)
                    draw(event)

                yield both
        else:
            yield heed
    finally:
        WISH.in_steps = False


@contextmanager
def _bar() -> Iterator[Hook]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:>9}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def hook(event: Event) -> None:
            if event.stage not in tasks:
                tasks[event.stage] = bar.add_task(event.stage, total=event.total)
            bar.update(tasks[event.stage], completed=event.done)

        yield hook


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
