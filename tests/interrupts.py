# SPDX-License-Identifier: Apache-2.0
"""Runs of training that are interrupted between two epochs."""

from unittest import mock

from model import train


def stopped_at(epoch):
    """Interrupt training after some epochs."""

    def run_epoch(state, *arguments, inner=train.run_epoch):
        if state.epoch == epoch:
            raise KeyboardInterrupt
        return inner(state, *arguments)

    return mock.patch.object(train, "run_epoch", run_epoch)
