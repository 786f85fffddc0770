"""What `typing` lacks on Python 3.10."""

import sys

if sys.version_info >= (3, 11):
    from typing import Self, assert_never
else:
    from typing_extensions import Self, assert_never

__all__ = ["Self", "assert_never"]
