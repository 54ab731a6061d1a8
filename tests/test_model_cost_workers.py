# SPDX-License-Identifier: Apache-2.0
"""Jobs of a cluster: the same points in the same journal, and what becomes of jobs that fail."""

import os
import sys

import pytest

from hw.params import ParameterError
from model.cost import sweep as command
from model.cost.config_file import load
from model.cost.space import cost, grid
from model.cost.sweep import JOURNAL, main, sweep
from model.cost.workers import JOBS, WorkerError, check_cluster

BASE = load("date2024_22nm")
POINTS = grid({"width": [64], "depth": [4], "array": [64], "cell_bits": [2]}, BASE)
COSTS = {point: cost(point, BASE) for point in POINTS}

SBATCH = """#!/bin/sh
grep -q '^#SBATCH --array=0-1' "$1" || exit 3
for task in 0 1; do
    SLURM_JOB_ID=1$task SLURM_ARRAY_JOB_ID=12 SLURM_ARRAY_TASK_ID=$task SLURM_NTASKS=1 \
    SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_JOB_NODELIST=here SLURM_PROCID=0 SLURM_LOCALID=0 \
    sh "$1" > /dev/null 2>&1 &
done
echo Submitted batch job 12
"""
SRUN = f"""#!/bin/sh
while [ "$1" != "{sys.executable}" ]; do shift; done
exec "$@"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands that do as SLURM's would, on this machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "scancel": "#!/bin/sh\n",
                       "sacct": "#!/bin/sh\necho 'JobID|State|NodeList'\n"}.items():  # fmt: skip
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_jobs_as_processes_here_lose_nothing(tmp_path):
    assert sweep(POINTS, BASE, tmp_path / JOURNAL, jobs=2, cluster="local") == COSTS
    assert len(list((tmp_path / JOBS).glob("*_result.pkl"))) == 2


def test_jobs_of_slurm_lose_nothing(slurm, tmp_path):
    assert sweep(POINTS, BASE, tmp_path / JOURNAL, jobs=2, cluster="slurm") == COSTS
    script, *_ = (tmp_path / JOBS).glob("*submission*.sh")
    text = script.read_text()
    assert "#SBATCH --time=60\n" in text
    assert "#SBATCH --cpus-per-task=1\n" in text


def test_a_job_that_fails_is_told_and_the_sweep_goes_on(tmp_path, monkeypatch, capfd):
    arguments = ["--width", "64", "--depth", "4", "--points", "9", "--out", str(tmp_path)]
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # of the jobs: a model that fails
    broken = tmp_path / "sitecustomize.py"
    journal = tmp_path / JOURNAL
    journal.touch()
    broken.write_text("import model.cost.space as s\ns.simulate = None\n")
    assert main([*arguments, "--resume", "--cluster", "local"]) == 1
    told = capfd.readouterr().err.splitlines()[-1]
    assert told.startswith("python -m model.cost.sweep: error: job ")
    assert told.endswith("_0_log.err; --resume goes on")
    assert "has ended early; its log: " in told
    broken.unlink()
    assert main([*arguments, "--resume"]) == 0


def test_what_slurm_refuses_is_one_error(slurm, tmp_path):
    (slurm / "sbatch").write_text("#!/bin/sh\necho no such partition >&2\nexit 1\n")
    with pytest.raises(WorkerError, match=r"^slurm must take the jobs: .*(?s:.)*no such partition"):
        sweep(POINTS, BASE, tmp_path / JOURNAL, cluster="slurm")


def test_a_cluster_that_is_not_here_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match="2"):
        command.main(["--points", "3", "--out", str(out), "--cluster", "slurm"])
    assert capsys.readouterr().err == (
        "python -m model.cost.sweep: error: "
        "cluster must be local where there is no SLURM, not slurm\n"
    )
    assert not out.exists()
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ParameterError) as error:
        check_cluster("local")
    assert str(error.value) == (
        "submitit must be installed to send jobs: pip install 'shiftbar[slurm]'"
    )
