"""Fixtures that several test files share."""

from browser import app, chromium, visit
from tiny import embedded, tiny

__all__ = ["app", "chromium", "embedded", "tiny", "visit"]
