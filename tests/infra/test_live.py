"""``make live`` in short: what it prints is what is billed, and Ctrl-C ends it in order."""

import os
import re
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from chargeback.charge import Charge
from chargeback.settings import Settings
from chargeback.wiring import open_ledger

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"^\d\d:\d\d:\d\d  .*?(?: ([0-9.]+) USD)? +(\S+)$", re.MULTILINE)
"""A charge: what it costs, if that is known, and its id."""
ENVIRONMENT = {
    name: os.environ[name] for name in ("PATH", "HOME", "CHARGEBACK_AZURITE") if name in os.environ
}


def live(*options):
    command = [sys.executable, str(ROOT / "scripts" / "live.py"), *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=ENVIRONMENT
    )


def printed(told):
    return {name: Decimal(cost) if cost else None for cost, name in LINE.findall(told)}


def billed(out):
    """Every charge in the ledger that was kept, by id."""
    ledger = open_ledger(str(out / "ledger"), Settings.model_construct())
    rows = [row for name in ledger.journals() for _, row in ledger.journal(name).read()]
    return {row.charge_id: row.total_cost for row in rows if isinstance(row, Charge)}


def test_every_charge_is_printed_as_it_arrives_and_ctrl_c_leaves_none_behind(tmp_path):
    """With Azurite where it is, else with a folder. What was sent is billed, however early it is stopped."""
    told = ""
    with live("--forever", "--rate", "20", "--out", str(tmp_path)) as process:
        for line in process.stdout:
            if LINE.search(line) and not LINE.search(told):
                process.send_signal(signal.SIGINT)
            told += line

    assert process.returncode == 0, told
    assert "NOT EVERYTHING" not in told
    charges = billed(tmp_path)
    assert charges
    assert printed(told) == charges
    [total] = re.findall(r"^total +.* ([0-9.]+)$", told, re.MULTILINE)
    assert Decimal(total) == sum(cost for cost in charges.values() if cost)
    assert (tmp_path / "report.html").is_file()
    assert not ours_left(tmp_path)


def ours_left(out):
    """Find processes that still write the log of this run; none where there is no /proc."""
    log = (out / "consumer.log").resolve()
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/2"):
        try:
            if link.resolve() == log:
                found.append(link)
        except OSError:
            continue  # somebody else's, or gone
    return found
