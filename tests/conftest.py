# SPDX-License-Identifier: Apache-2.0
"""What all tests need of the process that they run in."""

import signal

from hypothesis import settings

# Programs that tests interrupt must not ignore it, as all that a background job starts would.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A slow machine is no fault: whichever profile is in force, it has no time limit for an example.
profile = settings.get_current_profile_name()
settings.register_profile(profile, settings.get_profile(profile), deadline=None)
settings.load_profile(profile)
