"""What goes into files: the restored sound, what was removed, the layers, and what is said beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from wavemend.core.pcm import Native, to_double
from wavemend.core.reader import Reader
from wavemend.core.text import write_text
from wavemend.core.types import Plan, Samples
from wavemend.core.writer import FileWriter, same_file
from wavemend.errors import DeviceError, InputError
from wavemend.repairs import repairs

ROUNDING = "rounding.wav"
SUM = (
    "In 32-bit floats, input + layers, added in this order, is the restored sound bit for bit; with the "
    "file 'rounding', where there is one, and rounded to the steps of the output's sample format, it is the "
    "output's own values. To switch a repair off, leave its layer out."
)


class Restored:
    """A sink that writes the restored sound, and beside it what rounding and dither added, if asked for."""

    def __init__(self, writer: FileWriter, rounding: FileWriter | None = None) -> None:
        self._writer, self._rounding = writer, rounding

    def push(self, before: Samples, after: Samples) -> None:
        written: Native = self._writer.write(after)
        if self._rounding is not None:
            self._rounding.write((to_double(written) - after).astype(np.float32))


class Removed:
    """A sink that writes before minus after."""

    def __init__(self, writer: FileWriter) -> None:
        self._writer = writer

    def push(self, before: Samples, after: Samples) -> None:
        self._writer.write(before - after)


class Layer:
    """A sink for the layer of one step."""

    def __init__(self, writer: FileWriter) -> None:
        self._writer = writer

    def push(self, layer: Samples) -> None:
        self._writer.write(layer)


class LayerFiles:
    """The files of all layers in one folder, with a list of them; made by `layer_files`."""

    def __init__(self, layers: Sequence[Layer], rounding: FileWriter | None) -> None:
        self.layers, self.rounding = layers, rounding


def layer_names(plan: Plan) -> list[str]:
    """The files of the layers, in order: 1-declick.wav and so on."""
    return [f"{i}-{step.repair}.wav" for i, step in enumerate(plan.steps, 1)]


@contextmanager
def layer_files(folder: Path, reader: Reader, plan: Plan, writer: FileWriter) -> Iterator[LayerFiles]:
    """Open a file for each layer, 32-bit float WAV, and one for the rounding where the output has integers.

    They appear, whole, when this is left without an error. Raises DeviceError where the folder
    cannot be made; InputError where a file would replace the input or the output.
    """
    names = layer_names(plan)
    rounded = bool(names) and not writer.target.lossy and writer.target.encoding.kind != "float"
    for name in [*names, ROUNDING]:
        if same_file(folder / name, writer.path):
            raise InputError(f"{folder / name}: the layer would replace the output; give another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceError(f"{folder}: no folder for the layers can be made ({error.strerror})") from None
    with ExitStack() as stack:
        opened = [
            Layer(stack.enter_context(FileWriter(folder / name, reader, residual=True))) for name in names
        ]
        rounding = (
            stack.enter_context(FileWriter(folder / ROUNDING, reader, residual=True)) if rounded else None
        )
        yield LayerFiles(opened, rounding)
    listed = [
        {"file": name, "repair": step.repair, "because": step.reason}
        for name, step in zip(names, plan.steps, strict=True)
    ]
    content = {"sum": SUM, "layers": listed, "rounding": ROUNDING if rounded else None}
    write_text(folder / "layers.json", json.dumps(content, indent=1) + "\n")


def rehearse(
    reader: Reader,
    target: Path,
    subtype: str | None = None,
    residual: Path | None = None,
    layers: Path | None = None,
) -> None:
    """Raise what writing would raise now, not after minutes of looking."""
    if layers and layers.exists() and not layers.is_dir():
        raise InputError(f"{layers}: this is no folder; the layers need one")
    if residual and _real(residual) == _real(target):
        raise InputError(f"{residual}: the residual would replace the output; give another name")
    FileWriter(target, reader, subtype=subtype).abort()
    if residual:
        FileWriter(residual, reader, residual=True).abort()


def _real(path: Path) -> str:
    return str(path.resolve())


def not_carried(writer: FileWriter) -> tuple[str, ...]:
    """What of the source, and of the restored sound, has no place in the file."""
    if not writer.clipped:
        return writer.not_carried
    over = f"{writer.clipped} sample values beyond full scale, which {writer.path.name} cannot hold"
    return (*writer.not_carried, over)


def generating(plan: Plan) -> tuple[str, ...]:
    """The repairs of a plan that generate sound, by name."""
    made = [
        step.repair
        for step in plan.steps
        if repairs[step.repair].generated(
            plan.format, [plan.findings[k] for k in step.findings], step.options
        )
    ]
    return tuple(dict.fromkeys(made))


def history(plan: Plan) -> str:
    """One line that says what was done, for the coding history of a Broadcast Wave file."""
    done = ", ".join(step.repair for step in plan.steps) or "nothing changed"
    made = generating(plan)
    return f"{done}, parts generated by {' and '.join(made)}" if made else done


def note(plan: Plan) -> str:
    """What the file's own descriptions say of generated sound; empty where there is none."""
    made = generating(plan)
    return f"Parts of this sound were generated by wavemend ({', '.join(made)})" if made else ""
