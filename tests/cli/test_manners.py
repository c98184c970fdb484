"""How the command line treats people: examples that hold, one line for a mistake, quiet ends, colour for eyes only."""

import io
import os
import pty
import signal
import subprocess
import sys

import pytest
from rich.console import Console
from rich.progress import Progress

from chargeback.cli import app, manners, progress
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
