"""What the command lines share: bounds on numbers, and one plain line for a mistake."""

from __future__ import annotations

import math
import os
import re
import sys
from contextlib import suppress
from typing import Final

import click
from click.core import ParameterSource

if sys.platform != "linux":  # before anything is imported that there is only on Linux
    sys.stderr.write(f"tenfold: this needs Linux, whose shared memory and locks it stands on, not {sys.platform}\n")
    sys.exit(2)

NAMES: Final = {"help_option_names": ["-h", "--help"]}
"""For the context settings of a command."""

MUST: Final = "must be "
"""What the message of a mistake begins with that is a sentence about the option."""

PLAIN: Final = [
    (re.compile(r"Option '(.+)' requires an argument\."), r"\1 needs a value"),
    (re.compile(r"Option '(.+)' does not take a value\."), r"\1 takes no value"),
    (re.compile(r"Got unexpected extra arguments? \((.+)\)"), r"it is not clear what \1 is for"),
    (re.compile(r"No such command '(.+)'\."), r"there is no command \1"),
]
"""What click says, and what it means."""


class Number(click.ParamType[float]):
    """A number within bounds; its range stands in the help where others have their type.

    Args:
        least, most: bounds, both allowed.
        whole: whether it has no fraction.
    """

    name = "number"

    def __init__(self, least: float, most: float = math.inf, *, whole: bool = True) -> None:
        self._least, self._most, self._whole = least, most, whole

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 - click calls it so
        """The range."""
        return f"{self._least}…{self._most}" if self._most < math.inf else f"≥{self._least}"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the text, or take the default."""
        try:
            number = int(str(value)) if self._whole else float(str(value))
        except ValueError:
            number = math.nan
        if not self._least <= number <= self._most:
            kind = "a whole number" if self._whole else "a number"
            bounds = f"from {self._least} to {self._most}" if self._most < math.inf else f"of at least {self._least}"
            self.fail(f"{MUST}{kind} {bounds}, not {value!r}", param, ctx)
        return number


class Origin(click.ParamType[str]):
    """The origin of a page as browsers write it: in small letters, without a slash, and without the usual port."""

    name = "origin"
    SYNTAX: Final = re.compile(
        r"(?!http:.*:80$|https:.*:443$)[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9]\d{0,4})?"
    )

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take the text as it is, if it can be one."""
        if not self.SYNTAX.fullmatch(str(value)):
            shown = "https://desk.example or http://127.0.0.1:3000"
            self.fail(f"{MUST}an origin as browsers write it, such as {shown}, not {value!r}", param, ctx)
        return str(value)


def run(command: click.Command, program: str) -> int:
    """Run the command of this process and return its exit code; a mistake in it is one line on stderr and 2."""
    try:
        return int(command.main(standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        with suppress(OSError):  # a full disk; without a stderr it is said to nobody
            click.echo(f"{program}: {explain(error)}", err=True)
        return 2
    except click.Abort:
        return 130


def explain(error: click.ClickException) -> str:
    """What is wrong with a command line, in words that are not click's."""
    if isinstance(error, click.NoSuchOption):
        near = " or ".join(sorted(error.possibilities or ()))
        return f"there is no option {error.option_name}" + (f"; is it {near}?" if near else "")
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"{_name(error.param, error.ctx)} is missing"
    if isinstance(error, click.BadParameter) and error.param is not None:
        name, message = _name(error.param, error.ctx), error.message
        if isinstance(error.param.type, click.types.BoolParamType):
            message = f"{MUST}1 or 0, not {os.environ.get(name, '')!r}"
        elif isinstance(error.param.type, click.Choice):
            message = f"{MUST}{' or '.join(error.param.type.choices)}, not {message.partition(' is not one of')[0]}"
        return f"{name} {message}" if message.startswith(MUST) else f"{name}: {message}"
    for said, meant in PLAIN:
        if said.fullmatch(error.message):
            return said.sub(meant, error.message)
    return error.format_message()


def _name(param: click.Parameter, ctx: click.Context | None) -> str:
    """What the user wrote: an option, an argument, or a variable in the environment."""
    if ctx is not None and param.name and ctx.get_parameter_source(param.name) is ParameterSource.ENVIRONMENT:
        return param.envvar if isinstance(param.envvar, str) else f"{ctx.auto_envvar_prefix}_{param.name.upper()}"
    return param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
