"""What docs/cluster.md shows for Slurm and Kubernetes, as far as one machine can try it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from runs import environment, stored

ROOT = Path(__file__).parents[2]

# Slurm's commands: of srun the program alone, here.
SRUN = """#!/bin/bash
while [[ "$1" == --* ]]; do shift; done
echo started >> "$SLURM_SUBMIT_DIR/srun.log"
exec "$@"
"""
SCONTROL = """#!/bin/bash
echo "$*" >> "$SLURM_SUBMIT_DIR/scontrol.log"
"""


@pytest.fixture
def slurm(tmp_path):
    """The environment of a job of two nodes of one core, both on this machine."""
    pytest.importorskip("ray")
    programs = tmp_path / "bin"
    programs.mkdir()
    run = f'#!/bin/bash\nexec {sys.executable} -m gridscape "$@"\n'
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("gridscape", run)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    folders = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {
        **environment(),
        "PATH": os.pathsep.join(folders),
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_NNODES": "2",
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_SUBMIT_DIR": str(tmp_path),
    }


@pytest.mark.slow
def test_the_script_for_slurm_trains_a_study(slurm, tmp_path):
    values = ["--set", "learning_rate=0.01,0.1", "--updates", "20", "--dir", "results"]
    done = subprocess.run(
        ["bash", str(ROOT / "examples/slurm.sh"), "momentum-quadratic", *values],
        cwd=tmp_path,
        env=slurm,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(stored(tmp_path / "results")) == 6 * 2 * 3
    assert (tmp_path / "srun.log").exists()
    assert not (tmp_path / "scontrol.log").exists()  # nothing is left to train


def test_the_manifest_for_kubernetes_can_be_read():
    yaml = pytest.importorskip("yaml")
    (text,) = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "docs/cluster.md").read_text(), re.MULTILINE | re.DOTALL
    )
    job = yaml.safe_load(text)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    volumes = {volume["name"] for volume in head["volumes"]}
    assert {m["name"] for c in head["containers"] for m in c["volumeMounts"]} <= volumes
    assert all(group["replicas"] for group in cluster["workerGroupSpecs"])
