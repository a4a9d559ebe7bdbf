"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes is the machine's affair, and whoever else is busy on it.
settings.register_profile("patient", parent=settings(), deadline=None)
settings.load_profile("patient")
