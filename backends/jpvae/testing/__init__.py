"""Conformance suites: does the core work on an array library, and is a class a training engine? One line each.

Every answer is compared with dense float64 NumPy (dense.py) or exact arithmetic (exact.py), which share no code with what they
check, within a bound that is derived beside it. Importing this package loads NumPy and jpvae_core only.
"""

from . import dense
from .engines import check_engine, check_engines_agree
from .library import check_library
from .report import Report

__all__ = ["Report", "check_engine", "check_engines_agree", "check_library", "dense"]
