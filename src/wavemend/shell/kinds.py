"""Commands made from declarations: one for each repair, one for each kind of damage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wavemend.shell.progress import progress

if TYPE_CHECKING:
    from wavemend.core.params import Parameter

REMOVED = "also write what was removed, to be heard alone"


class Kinds(click.Group):
    """A group with one command for each registered kind, made from its declaration."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._registry())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        return self._command(cmd_name)

    def _registry(self) -> Sequence[str]:
        raise NotImplementedError

    def _command(self, name: str) -> click.Command:
        raise NotImplementedError


class Repairs(Kinds):
    """One command for each repair."""

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
            click.Option(["--residual"], type=click.Path(path_type=Path), help=REMOVED),
            *(_option(key, param) for key, param in repair.params.items()),
        ]
        return _command(name, params, _repair(name), repair.doc, repair.title)


def _repair(name: str) -> Any:
    def command(
        input: Path,
        output: Path,
        start: float | None,
        stop: float | None,
        residual: Path | None,
        **options: Any,
    ) -> None:
        from wavemend.restoration import words
        from wavemend.restoration.api import repair_file

        given = {key: value for key, value in options.items() if value is not None}
        with progress() as hook:
            done = repair_file(
                name,
                input,
                output,
                start_s=start,
                stop_s=stop,
                options=given,
                residual=residual,
                hook=hook,
            )
        click.echo(words.of_repair(done.report))
        click.echo(words.of_writing(done.output, done.report, done.changed))

    return command


class Damages(Kinds):
    """One command for each kind of damage."""

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
