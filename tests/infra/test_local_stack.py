"""The local stack fits together, and the client samples send what the gateway expects."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from chargeback.settings import Settings

ROOT = Path(__file__).parents[2]
TRY = ROOT / "infra" / "try"
STREAM = 'data: {"choices":[]}\n\ndata: [DONE]\n\n'


# ---- compose


@pytest.fixture
def services():
    return yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]


def test_the_worker_in_the_stack_is_set_with_settings_that_exist(services):
    known = {str(field.alias) for field in Settings.model_fields.values()}

    assert services["worker"]["environment"].keys() - known == {"FUNCTIONS_WORKER_RUNTIME"}


def test_the_emulator_has_the_hub_and_group_that_the_worker_reads(services):
    told = json.loads((ROOT / "infra" / "local" / "event-hubs.json").read_text("utf-8"))
    [namespace] = told["UserConfig"]["NamespaceConfig"]
    [hub] = namespace["Entities"]
    worker = services["worker"]["environment"]

    assert hub["Name"] == worker["EVENT_HUB_NAME"]
    assert [each["Name"] for each in hub["ConsumerGroups"]] == [worker["EVENT_HUB_CONSUMER_GROUP"]]
    assert "./infra/local/event-hubs.json:" in services["event-hubs"]["volumes"][0]


def test_services_find_each_other_by_name_and_outsiders_find_none(services):
    worker = services["worker"]["environment"]

    assert "Endpoint=sb://event-hubs;" in worker["EVENT_HUB_CONNECTION"]
    assert "http://storage:10000/" in worker["AzureWebJobsStorage"]
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_what_the_image_copies_is_what_is_deployed(services):
    lines = services["worker"]["build"]["dockerfile_inline"].splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]

    assert all((ROOT / name).exists() for name in copied)
    assert {"function_app.py", "host.json", "requirements.txt", "chargeback"} <= set(copied)


# ---- client samples


@pytest.fixture
def gateway():
    """A gateway that remembers what it was asked and answers as it was asked to."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            answer = (STREAM if body["stream"] else '{"usage": {}}').encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format, *args):  # noqa: A002 - the base class's name
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The C# sample, compiled as the policies are."""
    if not shutil.which("mcs"):
        return None
    built = tmp_path_factory.mktemp("try") / "call.exe"
    done = subprocess.run(
        ["mcs", "-langversion:7", "-r:System.Net.Http", f"-out:{built}", str(TRY / "call.cs")],
        capture_output=True,
        text=True,
        check=False,
    )
    if "System.Net.Http" in done.stdout + done.stderr:
        return None  # a small mono has no HTTP
    assert done.returncode == 0, done.stdout + done.stderr
    return str(built)


def command(language, program):
    if language == "Python":
        return [sys.executable, str(TRY / "call.py")]
    if language == "bash":
        return [str(TRY / "call.sh")] if shutil.which("curl") else pytest.skip("no curl")
    if language == "PowerShell":
        return ["pwsh", str(TRY / "call.ps1")] if shutil.which("pwsh") else pytest.skip("no PowerShell")
    return ["mono", program] if program else pytest.skip("no mono with System.Net.Http")


SWITCHES = {"--stream": "-Stream", "--completions": "-Completions"}
LANGUAGES = ["bash", "Python", "C#", "PowerShell"]


def words(language, options, text):
    if language == "PowerShell":
        return [*(SWITCHES[option] for option in options), "-Text", text]
    return [*options, text]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "options", [[], ["--stream"], ["--completions"], ["--stream", "--completions"]], ids=str
)
def test_a_sample_calls_the_gateway_with_its_key(gateway, program, language, options):
    url, asked = gateway
    told = {"GATEWAY_URL": url, "DEPLOYMENT": "chat", "API_KEY": "made-up", "CONSUMER": "dunning"}
    done = subprocess.run(
        [*command(language, program), *words(language, options, 'Say "hello"')],
        env={"PATH": os.environ["PATH"], **told},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    [(path, headers, body)] = asked
    operation = "completions" if "--completions" in options else "chat/completions"
    assert path == f"/openai/deployments/chat/{operation}?api-version=2024-10-21"
    assert (headers["api-key"], headers["content-type"].split(";")[0]) == ("made-up", "application/json")
    assert (headers["x-chargeback-consumer"], "authorization" in headers) == ("dunning", False)
    assert body["stream"] is ("--stream" in options)
    assert (body.get("prompt") or body["messages"][0]["content"]) == 'Say "hello"'
    assert ("[DONE]" if "--stream" in options else "usage") in done.stdout


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_a_key_a_sample_sends_a_token_of_whoever_is_signed_in(gateway, program, language, tmp_path):
    """az and azure-identity are stand-ins that say what they were asked for; C# is given its token."""
    url, asked = gateway
    az = tmp_path / "az"
    az.write_text('#!/bin/sh\necho "token for $4"\n')
    az.chmod(0o755)
    package = tmp_path / "azure" / "identity"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "class DefaultAzureCredential:\n"
        "    def get_token(self, scope):\n"
        "        return type('Token', (), {'token': 'token for ' + scope.removesuffix('/.default')})\n"
    )
    told = {"GATEWAY_URL": url, "DEPLOYMENT": "chat", "AUDIENCE": "api://mine"}
    told |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(tmp_path)}
    told |= {"TOKEN": "token for api://mine"} if language == "C#" else {}
    done = subprocess.run(command(language, program), env=told, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    headers = asked[0][1]
    assert (headers["authorization"], "api-key" in headers) == ("Bearer token for api://mine", False)


@pytest.mark.parametrize("sample", sorted(TRY.iterdir()), ids=lambda path: path.name)
def test_every_sample_reads_the_same_settings_and_asks_for_the_same(sample):
    """Also of the one whose language is not installed."""
    text = sample.read_text("utf-8")
    for name in ("GATEWAY_URL", "DEPLOYMENT", "API_KEY", "API_VERSION", "CONSUMER", "x-chargeback-consumer"):
        assert name in text, name
    for asked in ("chat/completions", "2024-10-21", "max_tokens", "api-key", "Bearer "):
        assert asked in text, asked
