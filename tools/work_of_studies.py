"""Writes what the named studies take, which `gridscape list` reads: their tracing takes seconds.

    python tools/work_of_studies.py

Studies whose data is not on this machine keep what is written of them.
"""

import json

from gridscape.cli import _catalog
from gridscape.kernels.cores import require_addresses
from gridscape.study import files
from gridscape.study.parts import data_set_of
from gridscape.study.study import Study
from gridscape.tasks import fetch


def main() -> None:
    require_addresses()
    before = json.loads(_catalog.KEPT.read_text(encoding="utf-8"))
    told = {name: before[name] for name in files.names() if name in before}
    for name in files.names():
        study = Study.load(name)
        if data_set_of(study.task) not in fetch.absent():
            work = _catalog.study_work(study.resolve())
            needs = work.needs._asdict()
            told[name] = {**work._asdict(), "needs": needs, "study": _catalog.study_key(name)}
    text = json.dumps(dict(sorted(told.items())), indent=1) + "\n"
    _catalog.KEPT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
