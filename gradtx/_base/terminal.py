"""Progress on a terminal."""

import sys
from collections.abc import Callable


def terminal(wanted: bool) -> Callable[[str], None]:
    """A function that rewrites one line of the terminal; it does nothing if stderr is not a terminal."""
    stream = sys.stderr

    def say(text: str) -> None:
        stream.write(f"\r\x1b[K{text}")
        stream.flush()

    return say if wanted and stream.isatty() else lambda text: None
