"""The recipes for CI systems in docs/ci: their structure, and their commands, run as they stand.

The install line is left out, for what it installs is under test; nothing else is. Steps of others
(checkout, cache, upload) are not run, but the files that they are given must be there.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

ROOT = Path(__file__).parent.parent
GITHUB, GITLAB = ROOT / "docs/ci/github-actions.yml", ROOT / "docs/ci/gitlab-ci.yml"
PAGE = ROOT / "docs/reference/emulate-in-ci.md"
INSTALL = "pip install edgekit-deploy"
IMAGE = "python:3.11-bookworm"
# Of GitHub's and GitLab's own schemas: the keys that these places may have.
GITHUB_JOB = {"runs-on", "container", "timeout-minutes", "defaults", "steps", "env", "needs", "if"}
GITHUB_STEP = {"name", "id", "if", "uses", "with", "run", "env", "shell", "working-directory"}
GITLAB_JOB = {
    *("image", "timeout", "variables", "cache", "before_script", "script", "artifacts", "rules"),
}


def github() -> dict[str, Any]:
    """Read the workflow; YAML 1.1 takes its `on` for true."""
    document = yaml.safe_load(GITHUB.read_text(encoding="utf-8"))
    document["on"] = document.pop(True)
    return dict(document)


def gitlab() -> dict[str, Any]:
    document = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))
    assert list(document) == ["emulate"]
    return dict(document["emulate"])


def steps() -> list[dict[str, Any]]:
    return list(github()["jobs"]["emulate"]["steps"])


def even_after_a_failure(step: Mapping[str, Any]) -> bool:
    return "!cancelled()" in step.get("if", "")


def test_the_workflow_is_one_that_github_reads() -> None:
    document = github()
    assert set(document) == {"name", "on", "permissions", "env", "jobs"}
    assert set(document["on"]) == {"push", "pull_request", "workflow_dispatch"}
    assert document["permissions"] == {"contents": "read"}
    job = document["jobs"]["emulate"]
    assert set(job) <= GITHUB_JOB
    assert (job["runs-on"], job["container"]) == ("ubuntu-latest", IMAGE)
    assert job["defaults"] == {"run": {"shell": "bash"}}
    for step in job["steps"]:
        assert set(step) <= GITHUB_STEP
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z/-]+@v\d+", step["uses"])
    assert job["steps"][0]["uses"].startswith("actions/checkout@")


def test_the_cache_of_the_workflow_is_edgekits_and_is_kept_of_a_failed_job() -> None:
    (restore,) = (s for s in steps() if s.get("uses", "").startswith("actions/cache/restore@"))
    (save,) = (s for s in steps() if s.get("uses", "").startswith("actions/cache/save@"))
    assert restore["with"]["path"] == save["with"]["path"] == github()["env"]["EDGEKIT_CACHE"]
    assert restore["with"]["key"].startswith(restore["with"]["restore-keys"])
    assert "," not in restore["with"]["key"].split("${{ hashFiles(")[0], "no key may have a comma"
    assert "TARGETS" not in restore["with"]["key"], "the targets have commas"
    assert save["with"]["key"] == f"${{{{ steps.{restore['id']}.outputs.cache-primary-key }}}}"
    assert even_after_a_failure(save)


def test_what_the_workflow_uploads_and_tells_is_kept_of_a_failed_job() -> None:
    names = [step.get("name") for step in steps()]
    after = steps()[names.index("Emulate") + 1 :]
    assert len(after) == 3
    assert all(even_after_a_failure(step) for step in after)
    assert not any(even_after_a_failure(step) for step in steps()[: -len(after)])


def test_the_job_is_one_that_gitlab_reads() -> None:
    job = gitlab()
    assert set(job) <= GITLAB_JOB
    assert job["image"] == IMAGE
    assert set(job["cache"]) <= {"key", "paths", "when", "policy"}
    assert job["variables"]["EDGEKIT_CACHE"] == "$CI_PROJECT_DIR/.edgekit-cache"
    assert job["cache"]["paths"] == [".edgekit-cache/"]
    assert job["cache"]["when"] == job["artifacts"]["when"] == "always"
    assert set(job["artifacts"]) <= {"when", "paths", "reports", "expire_in"}
    assert job["artifacts"]["reports"] == {"junit": "emulate.xml"}
    assert all(isinstance(value, str) for value in job["variables"].values())
    assert all(isinstance(line, str) for line in job["before_script"] + job["script"])


def test_both_ask_for_the_same() -> None:
    theirs, ours = gitlab()["variables"], github()["env"]
    for name in ("MODEL", "TARGETS", "BASELINE", "MAX_INCREASE"):
        assert theirs[name] == ours[name]
        assert f"`{name}`" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_the_page_names_the_recipe(path: Path) -> None:
    assert f"(../ci/{path.name})" in PAGE.read_text(encoding="utf-8")


def run(
    script: str, folder: Path, variables: Mapping[str, str], shell: list[str]
) -> subprocess.CompletedProcess[str]:
    """Run a script as the CI system does, in the environment at hand."""
    lines = [line for line in script.splitlines() if line.strip() != INSTALL]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [*shell, "\n".join(lines)],
        cwd=folder,
        env={**os.environ, **variables, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def run_github(folder: Path, cache: Path) -> tuple[int, str]:
    """Run the workflow's steps; return the status of the first that fails, and all they said."""
    summary = folder / "step-summary"
    variables = {
        **github()["env"],
        "EDGEKIT_CACHE": str(cache),
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    status, said = 0, ""
    for step in steps():
        if "run" in step and (status == 0 or even_after_a_failure(step)):
            bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
            done = run(step["run"], folder, variables, bash)
            said += done.stdout + done.stderr
            status = status or done.returncode
    return status, said


def run_gitlab(folder: Path, cache: Path) -> tuple[int, str]:
    """Run before_script and script in one shell that ends at the first failure."""
    job = gitlab()
    variables = {**job["variables"], "CI_PROJECT_DIR": str(folder), "EDGEKIT_CACHE": str(cache)}
    script = "\n".join([*job["before_script"], *job["script"]])
    done = run(script, folder, variables, ["bash", "-eo", "pipefail", "-c"])
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A repository with a model, as the first job of GitLab leaves it."""
    folder = tmp_path_factory.mktemp("project")
    model = ROOT / "models/digits-cnn/digits-cnn-fp32.onnx"
    (folder / gitlab()["variables"]["MODEL"]).write_bytes(model.read_bytes())
    status, said = run_gitlab(folder, shared_cache)
    assert status == 0, said
    return folder


def results(project: Path) -> dict[str, Any]:
    return dict(json.loads((project / "results.json").read_text(encoding="utf-8")))


@pytest.mark.network
def test_the_job_without_a_baseline(project: Path) -> None:
    targets = gitlab()["variables"]["TARGETS"].split(",")
    found = results(project)
    assert [one["target"] for one in found["emulations"]] == targets
    assert found["not_emulated"] == []
    for one in found["emulations"]:
        assert one["findings"] == one["cost_changes"] == []
        assert one["counts"]["steady_counts"]
    suites = ET.parse(project / "emulate.xml").getroot()
    assert len(suites) == len(targets)
    assert (suites.get("failures"), suites.get("errors")) == ("0", "0")


@pytest.mark.network
def test_the_workflow_holds_each_target_to_the_baseline_and_tells_which_is_dearer(
    project: Path, shared_cache: Path
) -> None:
    baseline = results(project)
    (one,) = (e for e in baseline["emulations"] if e["target"] == "rpi4")
    one["counts"]["steady_counts"] = [count * 9 // 10 for count in one["counts"]["steady_counts"]]
    place = project / github()["env"]["BASELINE"]
    place.write_text(json.dumps(baseline), encoding="utf-8")
    status, said = run_github(project, shared_cache)
    assert status == 13, said
    for one in results(project)["emulations"]:
        exceeded = ["cost-increase"] if one["target"] == "rpi4" else []
        assert [finding["kind"] for finding in one["findings"]] == exceeded
        phases = [change["phase"] for change in one["cost_changes"]]
        assert phases == ["load", "first", "steady"]
    summary = (project / "step-summary").read_text(encoding="utf-8")
    assert summary == (project / "summary.md").read_text(encoding="utf-8")
    assert "rpi4: count: a steady inference takes" in summary
    # One in the table, one in the list under it.
    assert summary.count("❌") == 2
    assert summary.count("✅ nothing found") == 2
