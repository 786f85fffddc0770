"""What the tests of batches share."""

from __future__ import annotations

import os

# Signals, limits of a process and /dev/full are POSIX's.
collect_ignore = ["test_killed.py", "test_stopped.py"] if os.name == "nt" else []
