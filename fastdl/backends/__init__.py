"""Choices between ways to compute the same thing, by device."""

from . import cpu as cpu

__all__ = ["cpu"]
