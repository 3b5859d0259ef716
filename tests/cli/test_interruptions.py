"""Failures, closed pipes, terminals, Ctrl-C and kills: nothing is lost."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest
from calls import DEADLINE_SECONDS, FINAL, TINY, environment

from gridscape.store.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet_place")]

FRAGILE = '''
import gridscape as gs
from gridscape.models.recurrent import lstm

@gs.hyperparameters(**lstm.hyperparameters)
def fragile(input_shape, n_outputs, *, hidden_size=4):
    """Fails in training where hidden_size is 5; the check of shapes is not enough to see it."""
    model = lstm(input_shape, n_outputs, hidden_size=hidden_size)

    def apply(params, inputs, key, hyper):
        if hidden_size == 5 and inputs.shape[0] == 100:
            raise RuntimeError("this cell is broken")
        return model.apply(params, inputs, key, hyper)

    return model._replace(apply=apply)
'''


def test_a_failed_trial_gives_status_3_and_the_others_are_there(
    call, quiet_place, monkeypatch, study
):
    (quiet_place / "my_models.py").write_text(FRAGILE)
    (quiet_place / "mine.toml").write_text(
        'task = "digits-rows"\nmodel = "my_models:fragile"\nupdates = 5\nreplicates = 1\n'
        "[axes]\nhidden_size = [4, 5]\nlearning_rate = [0.1]\n"
    )
    monkeypatch.syspath_prepend(quiet_place)
    status, out, err = call("run", "mine.toml")
    assert status == 3
    assert "! failed, or did not fit into memory" in out
    assert "Report: runs/mine/report.html" in out
    assert err.startswith("gridscape: 1 network failed or did not fit into memory, the first one ")
    assert "hidden_size=5, learning_rate=0.1, replicate 0: RuntimeError: this cell is broken" in err
    assert err.count("\n") == 1


def test_a_closed_pipe_is_silent(study, tmp_path):
    folder, _ = study
    line = f"{sys.executable} -m gridscape show {folder} --json | head -c 20"
    done = subprocess.run(
        ["bash", "-c", line],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.stderr == ""
    assert len(done.stdout) == 20


# Takes the terminal over, so that Ctrl-C typed there reaches the command.
TAKE_OVER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "gridscape", *sys.argv[1:]])
"""


class Terminal:
    """A command in a terminal of 80 x 24, as a user has it before them."""

    def __init__(self, arguments, cache, folder):
        self.text = ""
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        values = environment(cache, COLORTERM="truecolor")
        del values["COLUMNS"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_OVER, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=values,
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, pattern):
        """Reads what is shown until it has the pattern; the match."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (found := re.search(pattern, self.plain)):
            assert time.monotonic() < deadline, self.plain[-2000:]
            assert self._read(), f"ended without {pattern}:\n{self.plain[-2000:]}"
        return found

    def finish(self):
        """Reads to the end; the exit status."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self._read():
            assert time.monotonic() < deadline
        os.close(self._fd)
        return self.process.wait(DEADLINE_SECONDS)

    def type(self, keys):
        os.write(self._fd, keys)

    @property
    def plain(self):
        return FINAL.sub("", self.text).replace("\r\n", "\n")

    def _read(self):
        ready, _, _ = select.select([self._fd], [], [], 1.0)
        if not ready:
            return True
        with contextlib.suppress(OSError):  # how Linux tells that the other side has gone
            if new := os.read(self._fd, 65536):
                self.text += new.decode()
                return True
        return False


def test_the_live_table_in_a_terminal(study, tmp_path, kept_programs):
    # Long enough that each cohort is drawn while it trains: the screen changes four times a second.
    long = ["--replicates", "1", "--updates", "8000"]
    screen = Terminal(["run", *TINY, *long], kept_programs, tmp_path)
    assert screen.finish() == 0
    text = screen.plain
    assert max(len(line) for line in text.replace("\r", "\n").splitlines()) <= 80
    assert "accuracy in % so far" in text
    assert re.search(r"training 2 networks, hidden_size=[48]: update [\d,]+ of 8,000", text)
    assert "48;2;" in screen.text  # colored by accuracy
    end = text[text.rindex("LSTM on 8 x 8 digits") :]
    assert end.splitlines()[1].startswith("4 networks: 2 hidden_size")
    with Store.read(tmp_path / "runs" / "quickstart") as store:
        means = [f"{100 * r.metrics['test_accuracy']:.1f}" for _, r in store.results()]
    assert len(means) == 4
    assert all(mean in end for mean in means)
    assert end.rstrip().endswith("Report: runs/quickstart/report.html")


LONG = ["run", "--set", "hidden_size=4", "--set", "learning_rate=0.01,0.1", "--replicates", "1"]


LONG += ["--updates", "60000", "--batch-size", "20"]


def assert_whole(folder, cache):
    """Both networks are there, and what was interrupted equals what is trained in one go."""
    with Store.read(folder / "runs" / "quickstart") as store:
        assert [r.updates for _, r in store.results()] == [60_000, 60_000]
        assert list(store.checkpoints()) == []
    done = subprocess.run(
        [sys.executable, "-m", "gridscape", "replay", "--cell", "learning_rate=0.1"],
        cwd=folder,
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "identical bit for bit" in done.stdout


def test_ctrl_c_keeps_what_is_done_and_running_again_goes_on(tmp_path, kept_programs):
    screen = Terminal(LONG, kept_programs, tmp_path)
    screen.read_until(r"update [1-9]\d?,\d\d\d of 60,000")
    screen.type(b"\x03")
    assert screen.finish() == 130
    assert "Traceback" not in screen.plain
    message = " ".join(screen.plain[screen.plain.rindex("gridscape: interrupted") :].split())
    assert message.startswith("gridscape: interrupted with 0 of 2 networks done; everything")
    assert message.endswith(f"to go on: gridscape {' '.join(LONG)}")
    reached = [int(n.replace(",", "")) for n in re.findall(r"update ([\d,]+) of", screen.plain)]
    again = Terminal(LONG, kept_programs, tmp_path)
    first = again.read_until(r"update ([\d,]+) of 60,000")
    assert int(first.group(1).replace(",", "")) > max(reached)
    assert again.finish() == 0
    assert "Trained 2 networks" in again.plain
    assert_whole(tmp_path, kept_programs)


def test_kill_9_loses_nothing_that_was_stored(tmp_path, kept_programs):
    screen = Terminal(LONG, kept_programs, tmp_path)
    screen.read_until(r"update [1-9]\d?,\d\d\d of 60,000")
    screen.process.kill()
    assert screen.finish() == -signal.SIGKILL
    again = Terminal(LONG, kept_programs, tmp_path)
    assert again.finish() == 0
    assert_whole(tmp_path, kept_programs)
