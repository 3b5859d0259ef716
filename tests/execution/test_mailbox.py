"""What waits to be fetched: bounded, in order, and nobody's burden once it is closed."""

import threading
import time

from gridscape.execution.executors import Taken
from gridscape.execution.mailbox import MAIL_EVENTS, Mailbox, bytes_of


def test_who_brings_words_waits_for_who_fetches_them_slowly():
    mail, n = Mailbox(bytes_of), 3 * MAIL_EVENTS
    thread = threading.Thread(target=lambda: [mail.put(Taken(k)) for k in range(n)])
    thread.start()
    heard = []
    while len(heard) < n:
        time.sleep(0.01)
        words = mail.take(5.0)
        assert 0 < len(words) <= MAIL_EVENTS
        heard += words
    thread.join(timeout=5)
    assert [word.work for word in heard] == list(range(n))
    assert mail.take(0.01) == []


def test_large_words_wait_one_by_one(monkeypatch):
    monkeypatch.setattr("gridscape.execution.mailbox.MAIL_BYTES", 100)
    mail = Mailbox(lambda word: 80)
    threading.Thread(target=lambda: [mail.put(Taken(k)) for k in range(3)], daemon=True).start()
    assert [len(mail.take(5.0)) for _ in range(3)] == [1, 1, 1]


def test_once_it_is_closed_nobody_waits_for_room():
    mail = Mailbox(bytes_of)

    def bring():
        for number in range(3 * MAIL_EVENTS):
            mail.put(Taken(number))

    thread = threading.Thread(target=bring, daemon=True)
    thread.start()
    mail.close()
    thread.join(timeout=60)
    assert not thread.is_alive()
    mail.put(Taken(0))
    assert len(mail.take(0.01)) <= MAIL_EVENTS
