# SPDX-License-Identifier: Apache-2.0
"""Programs that tests interrupt must not ignore it, as all that a background job starts would."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
