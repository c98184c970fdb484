"""The workflows parse, and name only targets, files and outputs that exist; nobody here can run them."""

import re
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yml"))
DEPLOY = (ROOT / "docs" / "deploy.md").read_text("utf-8")


def workflow(name):
    return yaml.safe_load((FOLDER / f"{name}.yml").read_text("utf-8"))


def steps(name):
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def script(name):
    return "\n".join(step["run"] for step in steps(name) if "run" in step)


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_has_no_rights_but_those_it_names_and_ends_by_itself(name):
    told = workflow(name)

    assert told["permissions"] == {}
    for job in told["jobs"].values():
        assert job["permissions"]
        assert job["timeout-minutes"] <= 60


@pytest.mark.parametrize("name", NAMES)
def test_every_action_is_pinned_and_gets_no_credentials_to_keep(name):
    for step in steps(name):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
            if "checkout" in step["uses"]:
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", NAMES)
def test_every_make_target_and_every_file_of_ours_is_there(name):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    named = [word for line in re.findall(r"^make (.+)$", script(name), re.MULTILINE) for word in line.split()]
    paths = re.findall(r"(?<![\w/])(?:\.ci|infra|scripts|chargeback)/[\w./-]+", script(name))

    assert set(named) <= set(targets)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_a_script_that_bash_can_read(name):
    for step in steps(name):
        if "run" in step:
            # GitHub's own expressions are filled in before bash reads the line.
            text = re.sub(r"\$\{\{.*?\}\}", "x", step["run"])
            done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


def test_continuous_integration_runs_what_the_repository_promises():
    told = script("ci")

    assert ".ci/run" in told
    assert {"make policies", "make infra"} <= set(told.splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    promised = {name.rpartition(" ")[2] for name in project["classifiers"] if "Python :: 3." in name}
    assert set(workflow("ci")["jobs"]["check"]["strategy"]["matrix"]["python"]) == promised


def test_a_release_holds_everything_it_builds_with_its_checksums():
    told = script("release")
    [checksums] = re.findall(r"sha256sum (.*) > SHA256SUMS", told)
    [released] = re.findall(r"gh release create \S+ (.*) --verify-tag", told)

    assert {f"dist/{name}" for name in [*checksums.split(), "SHA256SUMS"]} == set(released.split())
    assert {"dist/*.whl", "dist/*.tar.gz", "dist/functions.zip", "dist/azuredeploy.json"} < set(
        released.split()
    )
    assert workflow("release")[True]["push"] == {"tags": ["v*"]}, "YAML reads the word on as true"
    assert "az bicep build --file infra/main.bicep --outfile dist/azuredeploy.json" in told


def test_the_deploy_button_points_to_what_the_release_puts_there():
    place = "https://raw.githubusercontent.com/OWNER/REPOSITORY/deploy/azuredeploy.json"

    assert f"https://portal.azure.com/#create/Microsoft.Template/uri/{quote(place, safe='')}" in DEPLOY
    told = script("release").replace("${GITHUB_REPOSITORY}", "OWNER/REPOSITORY")
    assert place in told
    assert "--initial-branch deploy" in told
