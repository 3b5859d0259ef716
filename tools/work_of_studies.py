"""Writes what the named studies take, which `gridscape list` reads: their tracing takes seconds.

    python tools/work_of_studies.py

Studies whose data is not on this machine keep what is written of them.
"""

import json

from gridscape.cli import _catalog
from gridscape.kernels.cores import use_all_cores
from gridscape.study import files
from gridscape.study.parts import data_set_of
from gridscape.study.study import Study
from gridscape.tasks import fetch


def main() -> None:
    use_all_cores()
    told = json.loads(_catalog.KEPT.read_text()) if _catalog.KEPT.exists() else {}
    for name in files.names():
        study = Study.load(name)
        if data_set_of(study.task) not in fetch.absent():
            work = _catalog.study_work(study.resolve())
            told[name] = {**work._asdict(), "needs": work.needs._asdict()}
    _catalog.KEPT.write_text(json.dumps(dict(sorted(told.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
