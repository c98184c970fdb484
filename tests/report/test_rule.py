"""The rule in SQL says what the rule in Python says, for whatever rows a ledger may hold."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback.charge import Charge
from chargeback.facts import Facts
from chargeback.journal.rows import Identity, encode
from chargeback.journal.winner import calls
from chargeback.report import books, cache, rule, sql
from chargeback.report.reading import COLUMNS, charge_of
from tests.support.calls import Counts
from tests.support.charges import charge_of as made
from tests.support.events import NOON
from tests.support.render import render
from tests.support.sample_calls import CALLERS, ROUTES, a_call

BASE = made(
    render(a_call(CALLERS["shop"], ROUTES["chat"], NOON, 1, usage=Counts(prompt=9, completion=2)), "v1")[0]
)

words = st.none() | st.sampled_from(["a", "b", "with 'quotes'", "ü"])
moments = st.none() | st.integers(0, 3).map(lambda n: datetime(2026, 11, 18, tzinfo=UTC) + timedelta(hours=n))
tags = st.none() | st.dictionaries(
    st.sampled_from(["project", "env"]), st.sampled_from(["x", "y"]), min_size=1
)
facts = {
    "subscription_id": words,
    "subscription_name": words,
    "app_id": words,
    "product": words,
    "deployment": words,
    "region": words,
    "http_status": st.none() | st.sampled_from([200, 400]),
    "streamed": st.none() | st.booleans(),
    "occurred_at": moments,
    "tags": tags,
}


@st.composite
def charges(draw, number):
    source = draw(st.sampled_from(["reported", "gateway", "estimated", "missing"]))
    truncated = draw(st.booleans())
    trust = ["reported", "gateway", "estimated", "missing"].index(source) + (4 if truncated else 0)
    cost = draw(st.none() | st.decimals("0", "10", places=8))
    return msgspec.structs.replace(
        BASE,
        charge_id=draw(st.sampled_from(["c1", "c2", "c3"])),
        row_id=f"ns/hub/1/0/{number}/0",
        rank=f"{trust}{1:04d}{0:05d}{draw(st.integers(0, 5)):018d}{0:04d}",
        usage_source=source,
        truncated=truncated,
        source_format=draw(st.sampled_from(["v1", "F1"])),
        prompt_tokens=draw(st.none() | st.integers(0, 2)),
        cached_tokens=draw(st.none() | st.integers(0, 1)),
        quantities=draw(
            st.none() | st.sampled_from([{"image_each": Decimal(1)}, {"image_each": Decimal(2)}])
        ),
        operation=draw(st.sampled_from(["chat", "unknown"])),
        cost_centre=draw(words),
        total_cost=cost,
        **{name: draw(strategy) for name, strategy in facts.items()},
    )


@st.composite
def identities(draw, number):
    return Identity(
        charge_id=draw(st.sampled_from(["c1", "c2", "c4"])),
        row_id=f"ns/hub/1/1/{number}/0",
        source_format=draw(st.sampled_from(["v1", "F15"])),
        rank=f"3{1:04d}{0:05d}{draw(st.integers(0, 3)):018d}{0:04d}",
        cost_centre=draw(words),
        facts=Facts(
            operation=draw(st.none() | st.just("embeddings")),
            **{name: draw(strategy) for name, strategy in facts.items()},
        ),
    )


ledgers = st.integers(1, 7).flatmap(
    lambda size: st.tuples(
        *(st.one_of(charges(number), charges(number), identities(number)) for number in range(size))
    )
)


@pytest.fixture(scope="module")
def database():
    with sql.database("300MB") as db:
        yield db


def by_sql(db, rows, folder):
    """Load rows as the cache does, without a journal, and apply the rule."""
    for kind in ("charges", "identities"):
        lines = [
            cache.numbered(line, number)
            for number, line in enumerate(map(encode, rows))
            if cache.kind_of(line, "one", 0) == kind
        ]
        raw, file = folder / f"{kind}.ndjson", folder / f"{kind}.parquet"
        raw.write_bytes(b"".join(lines))
        cache.to_parquet(db, raw, kind, "stream/ns/hub/1/0", file)
        db.run(f"CREATE OR REPLACE VIEW {kind} AS {books._files([file], {})}")
    query = rule.calls("charges", several=rule.prepare(db, "charges", "identities"))
    return [
        (charge_of(row[3:]), row[0], row[1])
        for row in db.rows(f"SELECT rows, conflict, rival, {COLUMNS} FROM ({query})")
    ]


@given(ledgers)
def test_sql_and_python_agree_on_every_call(database, tmp_path_factory, rows):
    found = by_sql(database, rows, tmp_path_factory.mktemp("rows"))

    wanted = [(told(call.charge), call.rows, call.conflict) for call in calls(rows)]
    assert sorted(
        map(str, ((told(charge), number, conflict) for charge, number, conflict in found))
    ) == sorted(map(str, wanted))


def told(charge):
    """Every field but ``lines``, whose decimals are compared as numbers elsewhere."""
    fields = msgspec.structs.asdict(charge)
    del fields["lines"]
    numbers = {name: value.normalize() for name, value in fields.items() if isinstance(value, Decimal)}
    return dict(sorted((fields | numbers).items()))


def test_a_charge_comes_back_from_the_books_as_it_was(database, tmp_path):
    [(charge, rows, conflict)] = by_sql(database, [BASE], tmp_path)

    assert (rows, conflict) == (1, False)
    assert charge == BASE
    assert isinstance(charge, Charge)


def test_a_cost_that_sql_would_round_is_refused():
    small = msgspec.structs.replace(BASE, total_cost=Decimal("1E-19"))

    with pytest.raises(Exception, match="more than 18 decimals"):
        cache.kind_of(encode(small), "one", 0)
