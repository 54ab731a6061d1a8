# SPDX-License-Identifier: Apache-2.0
"""Shift-pointwise networks: PyTorch modules, integer executors and the cost model."""
