# SPDX-License-Identifier: Apache-2.0
"""Synthesizable hardware in Amaranth, and the parameters that every stage shares."""
