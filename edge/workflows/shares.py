"""The progress of several things that are done at the same time, as one number."""

import threading
from collections.abc import Callable

Progress = Callable[[float], None]


class Shares:
    """Adds up the progress of what is done at the same time; stopped, it ends what still runs."""

    def __init__(self, progress: Progress) -> None:
        """Tell `progress` the sum of all shares."""
        self._lock = threading.Lock()
        self._progress = progress
        self._done: dict[int, float] = {}
        self._is_stopped = False

    def of(self, share: float) -> Progress:
        """Return the progress of a part that is `share` of the whole."""
        number = len(self._done)
        self._done[number] = 0.0

        def tell(fraction: float) -> None:
            with self._lock:
                if self._is_stopped:
                    raise _Stopped
                self._done[number] = share * fraction
                self._progress(min(1.0, sum(self._done.values())))

        return tell

    def stop(self) -> None:
        """Make whatever tells its progress from now on end."""
        with self._lock:
            self._is_stopped = True


class _Stopped(Exception):
    """Nobody waits for the result any more."""
