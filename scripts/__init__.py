# SPDX-License-Identifier: Apache-2.0
"""Commands of the project's own upkeep: size table, benchmarks, mutation, zoo data."""
