# SPDX-License-Identifier: Apache-2.0
"""Compiled models for tests: small ones, which take longer to optimise than to run."""

from cosim import fast


def compile_quickly(monkeypatch):
    """Let `cosim.fast` compile without optimisation, whoever asks it to."""
    compiled = fast.build
    monkeypatch.setattr(
        fast, "build", lambda block, **options: compiled(block, **options | {"optimise": "-O0"})
    )
