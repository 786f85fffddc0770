"""What `typing` lacks on Python 3.10."""

import sys

if sys.version_info >= (3, 11):
    from typing import Self, Unpack, assert_never
else:
    from typing_extensions import Self, Unpack, assert_never

__all__ = ["Self", "Unpack", "assert_never"]
