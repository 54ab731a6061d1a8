# SPDX-License-Identifier: Apache-2.0
"""Data files, each with a card beside it: what it is, where it is from, how to make it again."""
