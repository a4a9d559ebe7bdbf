"""The kernels' machine code: said once that it is made, kept, and never that of other sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aggregation

PACKAGE = Path(aggregation.__file__).parent

ONE_KERNEL = """
from numba import int64
from .atomics import load_acquire
from .compiled import compiled

@compiled()
def helper(words, index):
    return load_acquire(words, index)

@compiled(int64(int64[::1], int64))
def observe(words, index):
    return helper(words, index)
"""
"""Compiled in a second, where the real kernels take ten."""

OBSERVE = "import numpy as np; from aggregation.kernels import observe; print(observe(np.array([41]), 0))"


class Copy:
    """The package on a path of its own, with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "aggregation"
        self.home = folder / "home"
        self.home.mkdir()

    def python(self, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        unset = {"NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONPATH"}
        inherited = {name: value for name, value in os.environ.items() if name not in unset}
        return subprocess.run(
            [sys.executable, "-B", "-c", code],
            cwd=self.package.parent,
            env={**inherited, "HOME": str(self.home), **environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def observe(self, **environment: str) -> tuple[str, list[str]]:
        """What is read of a word that holds 41, and the lines on stderr."""
        done = self.python(OBSERVE, **environment)
        return done.stdout.strip(), done.stderr.splitlines()

    def edit(self) -> None:
        """Have the intrinsic that the kernels import read one more than there is."""
        atomics = self.package / "atomics.py"
        load = 'builder.load_atomic(pointer, ordering="acquire", align=_WORD_BYTES, typ=word)'
        source = atomics.read_text()
        assert load in source
        atomics.write_text(source.replace(load, f"builder.add({load}, word(1))"))

    def kept(self, root: Path | None = None) -> list[Path]:
        """Directories of machine code."""
        return sorted((root or self.package / "__pycache__").glob("kernels-*"))

    def make_read_only(self) -> None:
        """Nothing can be written next to the package, not even by root: a file is where the directory should be."""
        shutil.rmtree(self.package / "__pycache__", ignore_errors=True)
        (self.package / "__pycache__").touch()


ONCE = ["aggregation: compiling for this processor, once: some fifteen seconds"]


@pytest.fixture
def whole(tmp_path: Path) -> Copy:
    """With all real kernels and one more, and nothing compiled."""
    copy = Copy(tmp_path)
    shutil.copytree(PACKAGE, copy.package, ignore=shutil.ignore_patterns("__pycache__"))
    (copy.package / "kernels.py").write_text(ONE_KERNEL)
    return copy


@pytest.fixture
def small(tmp_path: Path) -> Copy:
    """With few kernels, for what needs many starts."""
    copy = Copy(tmp_path)
    copy.package.mkdir()
    (copy.package / "__init__.py").touch()
    for name in ("atomics.py", "compiled.py"):
        shutil.copy(PACKAGE / name, copy.package)
    (copy.package / "kernels.py").write_text(ONE_KERNEL)
    return copy


def test_the_first_start_says_so_and_the_next_finds_all(whole: Copy) -> None:
    """One line at the first start; none at the second, which compiles nothing. A changed intrinsic is compiled anew."""
    assert whole.observe() == ("41", ONCE)
    assert whole.observe() == ("41", [])
    whole.edit()
    assert whole.observe() == ("42", ONCE), "machine code of other sources ran"
    assert whole.observe() == ("42", [])


def test_a_kernel_of_another_package_is_that_of_its_own_file(small: Copy) -> None:
    """A helper that changed is compiled anew, although neither the kernel that uses it nor this package did."""
    other = small.package.parent / "other.py"
    for text, read in (
        (ONE_KERNEL, "41"),
        (ONE_KERNEL.replace("load_acquire(words, index)", "words[index] + 1"), "42"),
    ):
        other.write_text(text.replace("from .", "from aggregation."))
        for _ in range(2):
            assert small.python(OBSERVE.replace("aggregation.kernels", "other")).stdout == f"{read}\n"


def test_the_first_start_says_so_to_the_log_that_there_is(small: Copy) -> None:
    """An application with a log of its own finds the line there, and only there."""
    configured = f"import logging; logging.basicConfig(level='INFO', format='%(levelname)s %(message)s'); {OBSERVE}"
    done = small.python(configured)
    assert (done.stdout, done.stderr) == ("41\n", "INFO compiling for this processor, once: some fifteen seconds\n")


def test_a_read_only_install_keeps_it_in_the_users_cache(small: Copy) -> None:
    """Where nothing can be written next to the package, the user's cache directory is next, wherever that is."""
    small.make_read_only()
    assert [small.observe(), small.observe()] == [("41", ONCE), ("41", [])]
    assert len(small.kept(small.home / ".cache/tenfold")) == 1
    elsewhere = small.home / "elsewhere"
    assert small.observe(XDG_CACHE_HOME=str(elsewhere)) == ("41", ONCE)
    assert len(small.kept(elsewhere / "tenfold")) == 1
    assert small.observe(NUMBA_CACHE_DIR=str(small.home / "said")) == ("41", ONCE)
    assert len(small.kept(small.home / "said")) == 1


def test_without_any_place_it_works_and_warns_once(small: Copy) -> None:
    """A read-only install without a writable home computes, and one line says what every start costs and why."""
    small.make_read_only()
    places = f"{small.package / '__pycache__'} or /dev/null/.cache/tenfold"
    for _ in range(2):
        observed, (line,) = small.observe(HOME="/dev/null")
        assert observed == "41"
        assert line.startswith("aggregation: compiling for this processor, some fifteen seconds at every start")
        assert line.endswith(places)


@pytest.mark.parametrize(("suffix", "damage"), [("nbi", None), ("nbc", b""), ("nbc", b"\0" * 2000)])
def test_damaged_files_are_made_anew(small: Copy, suffix: str, damage: bytes | None) -> None:
    """What a power failure may leave of a file stops no start, and is gone after the second."""
    assert small.observe() == ("41", ONCE)
    (kept,) = small.kept()
    (file,) = kept.glob(f"kernels.*.{suffix}")
    file.write_bytes(file.read_bytes()[:100] if damage is None else damage)
    assert small.observe()[0] == "41"
    small.observe()
    assert small.observe() == ("41", [])


def test_a_filled_directory_may_be_read_only(small: Copy) -> None:
    """What was compiled while an image was built is used where it can only be read; another processor's is not."""
    assert small.observe() == ("41", ONCE)
    read_only = f"""
import os, shutil
replace = os.replace
os.replace = lambda old, new: replace(old, new) if new.startswith({str(small.home)!r}) else open("/nowhere/to/be/found")
shutil.rmtree = lambda *_, **__: None
{OBSERVE}"""
    assert small.python(read_only).stderr == ""
    other = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    for lines in (ONCE, []):
        done = small.python(read_only, **other)
        assert (done.stdout, done.stderr.splitlines()) == ("41\n", lines)


def test_a_full_disk_is_one_warning(small: Copy) -> None:
    """Where files can be made but not be filled, it computes all the same, and says what is wrong."""
    full = "import os, errno; os.replace = lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, 'full'))"
    done = small.python(f"{full}; {OBSERVE}")
    assert done.stdout == "41\n"
    assert len(done.stderr.splitlines()) == 2, done.stderr
    assert done.stderr.splitlines()[0] == ONCE[0]
    assert "cannot be kept in" in done.stderr
    assert "full" in done.stderr


def test_old_machine_code_does_not_pile_up(small: Copy) -> None:
    """Of other sources only some are kept: going back to the last finds it, and the oldest are removed."""
    kernels = small.package / "kernels.py"
    for version in range(6):
        kernels.write_text(f"{ONE_KERNEL}# {version}\n")
        assert small.observe() == ("41", ONCE)
        assert len(small.kept()) == min(version + 1, 4)
    kernels.write_text(f"{ONE_KERNEL}# 4\n")
    assert small.observe() == ("41", [])
