"""Where a thread that trains leaves what happens, until somebody fetches it."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from gridscape.engine.sizes import tree_bytes
from gridscape.execution.executors import Finished

# What waits at most.
MAIL_EVENTS, MAIL_BYTES = 256, 16 * 2**20

Word = TypeVar("Word")


class Mailbox(Generic[Word]):
    """Words that wait to be fetched; who brings one waits where there is no room for it."""

    def __init__(self, bytes_of: Callable[[Word], int]) -> None:
        self._words: list[Word] = []
        self._n_bytes = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._bytes_of = bytes_of

    def put(self, word: Word, seconds: float | None = None) -> None:
        """Bring a word; after so many seconds whether there is room or not."""
        n_bytes = self._bytes_of(word)
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(n_bytes), seconds)
            if self._is_closed:
                return
            self._words.append(word)
            self._n_bytes += n_bytes
            self._changed.notify_all()

    def take(self, seconds: float | None = None) -> list[Word]:
        """All that is there; waits so long for the first."""
        with self._changed:
            self._changed.wait_for(lambda: self._words, seconds)
            words, self._words, self._n_bytes = self._words, [], 0
            self._changed.notify_all()
            return words

    def close(self) -> None:
        """Nobody fetches any more: what is brought is lost, and nobody waits for room."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _has_room(self, n_bytes: int) -> bool:
        if not self._words or self._is_closed:
            return True
        return len(self._words) < MAIL_EVENTS and self._n_bytes + n_bytes <= MAIL_BYTES


def bytes_of(event: Any) -> int:
    """About what an event takes in memory: much only where it has results."""
    if not isinstance(event, Finished):
        return 0
    return tree_bytes((event.result.curves, event.result.params))
