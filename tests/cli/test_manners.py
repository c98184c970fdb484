"""How the command line treats people: examples that hold, one line for a mistake, quiet ends, colour for eyes only."""

import io
import os
import pty
import re
import signal
import subprocess
import sys

import pytest
from rich.console import Console
from rich.progress import Progress

from chargeback.cli import manners, progress
from chargeback.cli.commands import app
from chargeback.wiring import settings
from tests.support.command_line import ROOT, commands, parse, start

V1 = ROOT / "samples" / "events" / "v1.jsonl"
RATES = ROOT / "samples" / "rates.yaml"
NAMES = {" ".join(path): command for path, command in commands()}


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command here: exit code, stdout, stderr."""
    for name in ("CHARGEBACK_LEDGER", "CHARGEBACK_RATES", "AzureWebJobsStorage", "EVENT_HUB_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["chargeback", *map(str, words)])
        code = manners.run(app)
        return code, *capsys.readouterr()

    yield run
    settings.cache_clear()


def on_terminal(*words, watch, env=None):
    """Run with one stream on a terminal; what came there, and on the other."""
    ours, theirs = pty.openpty()
    other = {"stdout": "stderr", "stderr": "stdout"}[watch]
    process = start(*words, env=env, **{watch: theirs, other: subprocess.PIPE})
    os.close(theirs)
    seen = b""
    while chunk := _read(ours):
        seen += chunk
    rest = getattr(process, other).read()
    getattr(process, other).close()
    process.wait()
    os.close(ours)
    return seen, rest


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says EIO when the last writer is gone
        return b""


# Help


@pytest.mark.parametrize("name", NAMES)
def test_every_command_shows_examples_that_its_parser_takes(name, run):
    code, told, _ = run(*name.split(), "--help")
    _, _, examples = told.partition("  Examples:\n")
    lines = [line.strip() for line in examples.partition("\n\n")[0].splitlines()]

    assert code == 0
    assert 1 <= len(lines) <= 3
    for line in lines:
        assert f"chargeback {name}" in line
        parse(line)


@pytest.mark.parametrize("group", [(), ("rates",), ("dead-letters",)])
def test_a_list_of_commands_cuts_no_sentence(group, run):
    _, told, _ = run(*group, "--help")
    lines = told.partition("Commands:\n")[2].splitlines()

    assert len(lines) >= 3
    assert [line for line in lines if "..." in line] == []


@pytest.mark.parametrize("name", NAMES)
def test_help_names_what_a_person_gives_not_what_python_makes_of_it(name, run):
    _, told, _ = run(*name.split(), "--help")

    assert re.findall(r"<(?!table\|json\|csv>)[^>]*>|list\[|[{}]", told) == []


def test_a_line_the_parser_refuses_is_no_example():
    with pytest.raises(Exception, match="--nothing"):
        parse("chargeback report --nothing")


def test_without_words_there_is_help_and_the_exit_code_of_wrong_use(run):
    code, _, told = run()

    assert (code, "Commands:" in told) == (2, True)


# Mistakes

MISTAKES = {
    "a command": (("reprot",), "did you mean 'report'"),
    "a command of a group": (("rates", "chek"), "did you mean 'check'"),
    "an option": (("report", "--formt", "json"), "did you mean --format"),
    "a choice": (("report", "--format", "jsn"), "did you mean 'json'"),
    "a key": (("report", "--by", "modle"), "did you mean 'model'"),
    "a value out of bounds": (("close", "2026-11", "--grace-days", "99"), "--grace-days"),
    "a missing argument": (("replay",), "missing argument"),
    "a file that is not there": (("replay", "nowhere.jsonl"), "nowhere.jsonl: no such file or folder"),
    "a rate table that is not there": (("replay", V1, "--rates", "no.yaml"), "no.yaml: cannot be read"),
    "a folder that is no ledger": (("report", "--ledger", "./no"), "`chargeback replay FILES --ledger ./no`"),
    "a container without storage": (("explain", "1f", "--ledger", "no"), "set AzureWebJobsStorage"),
    "no ledger at all": (("dead-letters", "list"), "set CHARGEBACK_LEDGER"),
    "a month that is none": (("report", "--ledger", ".", "--period", "november"), "such as 2026-11"),
    "a day that is none": (("report", "--ledger", ".", "--from", "2026-13-01"), "--from '2026-13-01'"),
    "an end before the start": (("report", "--ledger", ".", "--from", "2026-12-01", "--to", "2026-11-01"), "exclusive"),
    "a file in place of a ledger": (("report", "--ledger", V1), "it is a file"),
    "a file to keep a ledger in": (("replay", V1, "--ledger", V1), "it is a file"),
    "a folder in place of a table": (("replay", V1, "--rates", V1.parent), "is a directory"),
    "a compressed file": (("replay", ROOT / "chargeback/tokens/vocabulary/o200k_base.tiktoken.gz"), "unpack it first"),
    "a container that is meant": (("report", "--ledger", "container:ledger"), "set AzureWebJobsStorage"),
    "a place nobody may write": (("replay", V1, "--rates", RATES, "--quiet", "--rejects", "no/x"), "no/x"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_with_what_to_do(case, run, tmp_path):
    words, remedy = MISTAKES[case]
    code, _, told = run(*words)

    assert code == 2
    assert len(told.splitlines()) == 1
    assert told.startswith("chargeback")
    assert remedy.lower() in told.lower()
    assert list(tmp_path.iterdir()) == [], "looking at a wrong path must not make one"


# Ends


@pytest.fixture
def interruptible():
    """A job in the background ignores Ctrl-C, and so would what it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(*words, told_by="stdout", **options):
    """Start a process, wait for a line of its work, press Ctrl-C: its exit code and what stood on stderr."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, *words], cwd=ROOT, **pipes, **options) as process:
        getattr(process, told_by).readline()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    return process.returncode, [line.split(b";")[0] for line in told.splitlines()]


ONE_LINE = (manners.INTERRUPTED, [b"chargeback: interrupted"])


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("module", ["typer", "msgspec", "chargeback.cli.replay"])
def test_ctrl_c_while_the_program_is_loaded_is_the_same(module, tmp_path):
    """Also where whoever imports takes any exception for a missing module."""
    code = f"""
import importlib.abc, signal, sys

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            print("importing", flush=True)
            try:
                signal.pause()
            except BaseException:
                pass

sys.meta_path.insert(0, Slow())
from chargeback.cli import main
sys.argv = ["chargeback", "--version"]
main()
"""
    assert interrupted("-c", code) == ONE_LINE


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_during_a_query_is_the_same():
    """DuckDB makes a RuntimeError of it."""
    code = """
import duckdb, signal, typer
from chargeback.cli.manners import run

app = typer.Typer()

@app.command()
def ask():
    print("asking", flush=True)
    duckdb.connect().execute("SELECT sum(range) FROM range(1000000000000)").fetchall()

raise SystemExit(run(app, heeded=True))
"""
    assert interrupted("-c", code) == ONE_LINE


@pytest.mark.usefixtures("interruptible")
def test_a_job_in_the_background_keeps_ignoring_ctrl_c():
    code = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("started", flush=True)
from chargeback.cli import main
sys.argv = ["chargeback", "--version"]
main()
"""
    assert interrupted("-c", code) == (0, [])


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_one_line_and_130():
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with start("pseudonym", **pipes) as process:
        process.stdin.write(b"a-key\n" * 5000)
        process.stdin.flush()
        process.stdout.readline()  # it is at work now
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()

    assert process.returncode == manners.INTERRUPTED
    assert [line.split(b";")[0] for line in told.splitlines()] == [b"chargeback: interrupted"]


@pytest.mark.parametrize("style", ["table", "json", "csv"])
def test_a_reader_that_goes_away_is_no_fault(style):
    read, write = os.pipe()
    os.close(read)
    with start("replay", V1, "--rates", RATES, "--quiet", "--format", style, stdout=write, stderr=subprocess.PIPE) as process:  # fmt: skip
        os.close(write)
        told = process.stderr.read()

    assert (process.returncode, told) == (manners.UNREAD, b"")


# Eyes


def test_colour_and_bars_are_for_terminals_and_can_be_switched_off():
    words = ("replay", V1, "--rates", RATES)
    seen, _ = on_terminal(*words, watch="stdout")
    plain, bar = on_terminal(*words, watch="stdout", env={"NO_COLOR": "1"})
    shown, piped = on_terminal(*words, watch="stderr")
    quiet, _ = on_terminal(*words, "--quiet", watch="stderr")

    assert b"\x1b[1m" in seen
    assert b"\x1b" not in plain
    assert b"total" in plain
    assert b"\x1b" not in piped
    assert b"replay" in shown
    assert (bar, quiet) == (b"", b"")


LEDGER = ("--ledger", "./kept")
REMARKING = {
    "report": ("report", *LEDGER, "--unbilled", "calls.csv", "--focus", "focus.csv"),
    "statements": ("statements", "2026-11", *LEDGER, "--out", "statements"),
    "repair": ("repair", *LEDGER),
}


@pytest.mark.parametrize("case", REMARKING)
def test_quiet_leaves_the_result_and_takes_the_remarks(case, run):
    run("replay", V1, "--rates", RATES, *LEDGER)
    _, loud, remarks = run(*REMARKING[case])
    code, quiet, told = run(*REMARKING[case], "--quiet")

    assert remarks
    assert (code, quiet, told) == (0, loud, "")


def test_what_shows_a_bar_can_be_quiet():
    """One meaning everywhere."""
    loud = {name for name, command in NAMES.items() if "ledger" in {each.name for each in command.params}}
    quick = {"rates check", "dead-letters list", "dead-letters show", "dead-letters requeue"}
    helps = {each.help for command in NAMES.values() for each in command.params if each.name == "quiet"}

    assert {name for name in loud if "quiet" not in {each.name for each in NAMES[name].params}} == quick
    assert len(helps) == 1


def test_no_events_are_told(run, tmp_path):
    (tmp_path / "empty.jsonl").touch()
    code, _, told = run("replay", "empty.jsonl", "--rates", RATES)

    assert (code, told) == (0, "no events in 1 file\n")


@pytest.mark.parametrize("columns", [progress.count_columns, progress.byte_columns])
def test_a_bar_tells_how_far_how_fast_and_how_long(columns):
    """Ten of a hundred a second: after forty of them six seconds are left."""
    screen, clock = Console(file=io.StringIO(), width=100), [0]
    bars = Progress(*columns(), console=screen, get_time=lambda: clock[-1], auto_refresh=False)
    task = bars.add_task("journals", total=100)
    for second in (1, 2, 3, 4):
        clock.append(second)
        bars.advance(task, 10)
    screen.print(bars.get_renderable())

    shown = screen.file.getvalue()
    assert "journals" in shown
    assert "40/100" in shown
    assert "10/s" in shown or "10 bytes/s" in shown
    assert "0:00:06" in shown


def test_the_shell_completes_commands_and_options():
    """What the script of `--install-completion` asks for bash."""
    for typed, wanted in (("chargeback rep", {"replay", "report", "repair"}), ("chargeback report --fo", {"--format", "--focus"})):  # fmt: skip
        env = {"_CHARGEBACK_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}  # fmt: skip
        with start(env=env, stdout=subprocess.PIPE) as process:
            told = process.stdout.read().decode().split()

        assert set(told) == wanted
