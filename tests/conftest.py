"""Fixtures that several test files share."""

from browser import app, chromium, visit

__all__ = ["app", "chromium", "visit"]
