"""Is what Gridscape says true as often as it says? Simulated landscapes of known truth.

    python benchmarks/statistics.py                     2,000 landscapes a number: hours of one core
    python benchmarks/statistics.py --quick             20 of them at 5 replicates: seconds
    python benchmarks/statistics.py --only "3. winner"  some settings, by a part of their names
    python benchmarks/statistics.py --against ../old    beside another checkout, or its JSON

Settings are in ``truth/``: worlds of known truth, handed to Gridscape's public functions. Counted
are false statements and intervals that hold, with their Monte Carlo errors.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
LANDSCAPES, QUICK = 2000, 20


def main() -> int:
    from truth import playing  # which imports Gridscape: here for the sake of the end of this file

    options = _options()
    before = _before(options)
    kept = options.out.with_suffix(".json")
    todo = playing.tasks(options.landscapes, options.only, options.replicates)
    known = playing.found_in(_read(kept)) if options.go_on else {}
    found = dict(known)
    for key, counts in playing.play_all(todo, options.jobs, known):
        found[key] = counts
        record = playing.record(found, options.landscapes)
        playing.write(kept, json.dumps(record, indent=1) + "\n")
        sys.stderr.write(f"{len(found) - len(known)} of {len(todo)}: {key}\n")
    text = playing.told(playing.record(found, options.landscapes), before)
    playing.write(options.out.with_suffix(".md"), text)
    sys.stdout.write(text)
    return 1 if any(playing.broke(counts) for counts in found.values()) else 0


def _before(options: argparse.Namespace) -> dict[str, Any] | None:
    """What another version says of the same worlds: measured now, or earlier."""
    if options.against is None or options.against.is_file():
        return None if options.against is None else _read(options.against)
    out = options.out.with_name(options.out.name + "-before")
    command = [sys.executable, __file__, "--out", str(out), "--only", options.only]
    command += ["--landscapes", str(options.landscapes), "--jobs", str(options.jobs)]
    command += ["--replicates", ",".join(map(str, options.replicates))]
    command += ["--go-on"] if options.go_on else []
    there = os.environ | {"PYTHONPATH": str(options.against.resolve())}
    subprocess.run(command, check=False, env=there, stdout=subprocess.DEVNULL)
    return _read(out.with_suffix(".json"))


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"rows": []}
    return json.loads(path.read_text(encoding="utf-8"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--landscapes", type=int, default=LANDSCAPES, help="for each number")
    parser.add_argument("--replicates", default="", help="some of 3,5,10; by default all")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} landscapes, 5 replicates")
    parser.add_argument("--only", default="", help="settings whose names have this text")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--against", type=Path, help="another checkout, or its JSON")
    parser.add_argument("--out", type=Path, help="the results, without a suffix")
    parser.add_argument("--go-on", action="store_true", help="keep what --out has already")
    options = parser.parse_args()
    if options.quick:
        options.landscapes, options.replicates = QUICK, options.replicates or "5"
    options.replicates = [int(n) for n in options.replicates.split(",") if n]
    part = options.quick or options.only or options.replicates
    options.out = options.out or RESULTS / ("statistics-part" if part else "statistics")
    return options


def _be_the_standard_library() -> None:
    """Beside this file ``import statistics`` finds it, where the standard library's is meant."""
    import importlib.util
    import sysconfig

    path = Path(sysconfig.get_path("stdlib")) / "statistics.py"
    spec = importlib.util.spec_from_file_location("statistics", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["statistics"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


if __name__ == "__main__":
    sys.exit(main())
elif __name__ == "statistics":
    _be_the_standard_library()
