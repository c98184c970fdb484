"""What is deployed works with what is deployed: no package of the command line or of development."""

import re
import subprocess
import sys
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Runs in a process of its own: refuses every package that requirements.txt does not bring.
GUARD = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"not deployed: {{name}}", name=name)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, {root!r})
"""


def refused() -> set[str]:
    """Name the top-level modules of installed packages that requirements.txt does not name."""
    named = re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    deployed = {_normal(name) for name in named} | {"azure-openai-chargeback", "pip", "setuptools"}
    installed = {_normal(distribution.name) for distribution in distributions()}
    assert installed - deployed, (
        "this environment has nothing that is not deployed: the test would prove nothing"
    )
    modules = packages_distributions()
    return {
        module
        for module, owners in modules.items()
        if not module.startswith("_") and all(_normal(owner) not in deployed for owner in owners)
    }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def run(code: str) -> subprocess.CompletedProcess[str]:
    script = GUARD.format(refused=refused(), root=str(ROOT)) + code
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd="/"
    )


def test_the_host_and_everything_it_wires_import_without_other_packages():
    done = run(
        "import function_app\n"
        "from chargeback import functions_host, wiring, worker, rate_tables\n"
        "from chargeback.rates import load\n"
        "from chargeback.sinks import application_insights, envelopes\n"
        "from chargeback.journal import local, blob\n"
        "from chargeback import tokens\n"
        "assert tokens.count_text('deployed', 'o200k_base') > 0\n"
    )

    assert done.returncode == 0, done.stderr


def test_the_guard_refuses_what_is_not_deployed():
    assert "not deployed: typer" in run("import typer").stderr


def test_importing_the_function_app_loads_nothing_heavy():
    """The host gives a worker ten seconds to index; what is slow waits for the first batch."""
    done = run(
        "import function_app\n"
        "heavy = {'pydantic', 'yaml', 'tiktoken', 'azure.core', 'azure.identity', 'applicationinsights', 'msgspec'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )

    assert done.returncode == 0, done.stderr
