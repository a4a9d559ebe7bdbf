"""The decorator of the kernels: compiled once for this processor, kept on disk, and said to whoever waits for it.

numba keeps what it has compiled, too, but asks only whether the *file* of a function has changed: not the intrinsics
that it imports, nor the versions of what compiled it. Here the machine code lies in a directory named after all of
that, so code that is not of these sources is never found. numba adds the processor and the version of Python itself.
A kernel outside this package is kept there, too; it may use of others what is in its own file and in this package.

The directory is next to the package, else in the user's cache directory, or in ``NUMBA_CACHE_DIR`` if that is set.
One that is filled already may be read-only. Where there is none, all is compiled in memory at every start.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from pickle import UnpicklingError  # the exception alone  # nosec B403
from typing import Final, Self, TypeVar

import llvmlite
import numba
import numpy as np
from numba import config, njit
from numba.core import event

log = logging.getLogger(__package__)

F = TypeVar("F", bound=Callable[..., object])

PACKAGE: Final = Path(__file__).parent

MOST_KEPT: Final = 3
"""Directories of other sources or versions that may lie beside ours, so that going back and forth between two of them
does not compile every time. A megabyte each."""


def compiled(signature: object = None, **options: object) -> Callable[[F], F]:
    """Compile a function for ``signature``, or take it from disk.

    Without a signature it is compiled as part of those that call it.
    """
    make: Callable[..., Callable[[F], F]] = njit  # numba has no types
    if signature is None:
        return make(**options)

    def decorate(function: F) -> F:
        with event.install_listener("numba:compile", _announcement):
            while _keeper.directory is not None:
                locators, config.CACHE_LOCATOR_CLASSES = config.CACHE_LOCATOR_CLASSES, f"{__name__}.Locator"
                try:
                    return make(signature, cache=True, **options)(function)
                except (OSError, EOFError, UnpicklingError) as error:  # the disk is full, or a file on it is damaged
                    _keeper.leave(error)
                finally:
                    config.CACHE_LOCATOR_CLASSES = locators
            return make(signature, **options)(function)

    return decorate


class _Keeper:
    """Knows the directory that the machine code is kept in, if there is one."""

    def __init__(self) -> None:
        self.key = _key()
        roots = [Path(config.CACHE_DIR)] if config.CACHE_DIR else [PACKAGE / "__pycache__", _user_cache()]
        self.places = [root / f"kernels-{self.key}" for root in roots]
        # The package's may be filled for another processor and read-only; then the user's was filled after it.
        self._usable = chain(filter(_is_filled, reversed(self.places)), filter(_is_writable, self.places))
        self.directory = next(self._usable, None)

    def leave(self, error: Exception) -> None:
        """The directory is of no use after all: empty it, for the next start, and go on to the next one."""
        left = str(self.directory)
        shutil.rmtree(left, ignore_errors=True)
        self.directory = next(self._usable, None)
        if self.directory is None:
            _say(logging.WARNING, f"what is compiled cannot be kept in {left}: {error}")


class Locator:
    """Tells numba where the machine code of a function is kept; named in its ``CACHE_LOCATOR_CLASSES``."""

    def __init__(self, file: str) -> None:
        self._py_file = file  # which numba names in a warning, too

    @classmethod
    def from_function(cls, _function: object, file: str) -> Self:
        """One for each function."""
        return cls(file)

    def get_cache_path(self) -> str:
        """The directory."""
        return str(_keeper.directory)

    def ensure_cache_path(self) -> None:
        """It is there."""

    def get_source_stamp(self) -> str:
        """What the machine code was made of, beside what the directory is named after."""
        return hashlib.sha256(Path(self._py_file).read_bytes()).hexdigest()

    def get_disambiguator(self) -> str:
        """Nothing: functions of a module have different names."""
        return ""


class _Announcement(event.Listener):
    """Says, before the first function is compiled, that it will take a while."""

    said = False

    def on_start(self, _event: object) -> None:
        """A function is about to be compiled."""
        if self.said:
            return
        self.said = True
        if _keeper.directory is not None:
            _say(logging.INFO, "compiling for this processor, once: some fifteen seconds")
        else:
            places = " or ".join(str(place.parent) for place in _keeper.places)
            _say(
                logging.WARNING,
                f"compiling for this processor, some fifteen seconds at every start: "
                f"nothing can be written to {places}",
            )

    def on_end(self, _event: object) -> None:
        """It is compiled."""


def _say(level: int, message: str) -> None:
    """To the log; to stderr where nobody has set up a log, because ten silent seconds look like a hang."""
    if log.hasHandlers():
        log.log(level, "%s", message)
    else:
        sys.stderr.write(f"{log.name}: {message}\n")


def _key() -> str:
    """All that the machine code is made of, as far as numba does not look at it itself."""
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__} {np.__version__}".encode())
    for source in sorted(PACKAGE.glob("*.py")):
        digest.update(f"\n{source.name}\n".encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _user_cache() -> Path:
    """Where the user's programs keep what can be made again; not absolute where the user has no home."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(named) if named else Path.home() / ".cache") / "tenfold"
    except RuntimeError:
        return Path("tenfold")


def _is_filled(place: Path) -> bool:
    try:
        return any(place.iterdir())
    except OSError:
        return False


def _is_writable(place: Path) -> bool:
    """Whether a directory can be written to; it is made if need be, and the oldest beside it are removed."""
    if not place.is_absolute():
        return False
    try:
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
        others = sorted(place.parent.glob("kernels-*"), key=lambda other: other.stat().st_mtime)
    except OSError:
        return False
    for other in others[: -MOST_KEPT - 1]:
        shutil.rmtree(other, ignore_errors=True)
    return True


_keeper = _Keeper()
_announcement = _Announcement()
