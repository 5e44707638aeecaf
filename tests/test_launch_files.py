"""The launch files of docs/launch are valid for their interpreters and set only existing config fields."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from parsed_configs import parse

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "launch"
SCRIPTS = sorted(path for path in FOLDER.iterdir() if path.suffix in (".sh", ".sbatch"))
FILES = sorted(FOLDER.iterdir())
# Values that a launcher substitutes.
VARIABLE = re.compile(r"\"?'?\$\{?\w+(:-\w+)?\}?'?\"?")


def config_flags(path: Path) -> list[str]:
    """Return the config flags in a file, with variables replaced by a word, or by their default if it is a number."""
    text = VARIABLE.sub(lambda found: (found.group(1) or ":-word")[2:], path.read_text())
    return [flag.rstrip("'\"") for flag in re.findall(r"--config\.[\w.]+=[^\s\\]+", text)]


def test_there_are_files_for_each_kind_of_cluster():
    assert {path.name for path in FILES} == {"slurm_nodes.sbatch", "slurm_array.sbatch", "tpu_pod.sh", "jobset.yaml"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_bash_can_read_it(path):
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_field_of_the_config_exists_and_takes_the_value(path):
    flags = config_flags(path)
    assert len(flags) >= 4
    config = parse("configs/ravdess.py:gru_attention", *flags)
    if path.name != "slurm_array.sbatch":  # its runs have one process each
        assert config.devices.distributed


def test_the_job_set_is_one_indexed_job_with_a_disk_that_all_pods_share():
    documents = list(yaml.safe_load_all((FOLDER / "jobset.yaml").read_text()))
    assert [one["kind"] for one in documents] == ["ServiceAccount", "Role", "RoleBinding", "JobSet"]
    (job,) = documents[-1]["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    assert spec["completionMode"] == "Indexed" and spec["parallelism"] == spec["completions"] > 1  # JAX counts pods by it
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["serviceAccountName"] == documents[0]["metadata"]["name"]
    assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"] for volume in pod["volumes"]]
