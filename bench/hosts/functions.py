"""Figure 9: 100-event batches through Microsoft's worker library, beside a function that does nothing with them.

One batch of one partition after the other, as the host sends them. The time is the harness's own, with the batch as
JSON in and the result out, on both sides; the empty function shows what of it is not ours. Journal in Azurite,
customEvents confirmed by the ingestion endpoint before each batch returns.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from measure import Figure, Options, interleaved

from hosts.hub_traffic import traffic
from hosts.parent import Child
from tests.support import azurite, oracle
from tests.support.functions_worker import FunctionsWorker, event_hub_batch, functions_worker

ROOT = Path(__file__).resolve().parent.parent.parent
BATCH = 100
BATCHES = 5
"""In one round."""

EMPTY = """
from typing import List
import azure.functions as func
app = func.FunctionApp()

@app.function_name("bill_usage")
@app.event_hub_message_trigger(arg_name="events", event_hub_name="%EVENT_HUB_NAME%", connection="EVENT_HUB_CONNECTION",
    consumer_group="%EVENT_HUB_CONSUMER_GROUP%", cardinality="many", data_type="binary")
def bill_usage(events: List[func.EventHubEvent], context: func.Context) -> None:
    pass
"""


class Sent:
    """Batches of one app, numbered on from round to round."""

    def __init__(self, worker: FunctionsWorker, bodies: list[bytes]) -> None:
        self._worker = worker
        self._bodies = bodies
        self._next = 0

    def __call__(self) -> None:
        for _ in range(BATCHES):
            first = self._next
            bodies = [self._bodies[(first + number) % len(self._bodies)] for number in range(BATCH)]
            self._next += BATCH
            done = self._worker.invoke("bill_usage", event_hub_batch(bodies, first_sequence_number=first))
            if not done.ok:
                raise SystemExit(f"figure 9: a batch failed: {done.error}")

    @property
    def events(self) -> int:
        return self._next

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._worker.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def figures(options: Options) -> Iterator[Figure]:
    if not options.wants("functions"):
        return
    bodies = traffic(options.seed, BATCH * BATCHES * (options.rounds + 1), 1).partitions[0]
    with ExitStack() as open_:
        storage = open_.enter_context(azurite.running())
        endpoint = open_.enter_context(Child("endpoint"))
        folder = Path(open_.enter_context(tempfile.TemporaryDirectory()))
        (folder / "function_app.py").write_text(EMPTY)
        env = {
            "AzureWebJobsStorage": storage,
            "CHARGEBACK_LEDGER": "ledger",
            "CHARGEBACK_RATES": str(oracle.SAMPLE_RATES),
            "APPLICATIONINSIGHTS_CONNECTION_STRING": endpoint.ask("where")["connection"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
        }
        ours = Sent(open_.enter_context(functions_worker(ROOT, env)), bodies)
        empty = Sent(open_.enter_context(functions_worker(folder, env)), bodies)
        ours(), empty()
        before, count = (ours.cpu_s(), empty.cpu_s()), ours.events
        taken = interleaved({"ours": ours, "empty": empty}, options.rounds)
        cpu = [
            (now - then) / (ours.events - count) * 1000
            for now, then in zip((ours.cpu_s(), empty.cpu_s()), before, strict=True)
        ]
        confirmed = endpoint.ask("accepted")["ids"]
    yield Figure(
        name="functions",
        what=f"a batch of {BATCH} events of 4 KB through the worker library, committed and confirmed",
        unit="ms",
        ours=taken["ours"] / BATCHES * 1000,
        others={"an empty function": taken["empty"] / BATCHES * 1000},
        note=(
            f"{BATCH * BATCHES / taken['ours']:,.0f} events/s of one partition after the other; CPU seconds per 1,000 "
            f"events {cpu[0]:.3f}, of the empty function {cpu[1]:.3f}; {confirmed:,} calls confirmed"
        ),
    )
