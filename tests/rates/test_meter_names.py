"""Azure's price list as it is saved: names of every kind of meter read, or refused with the reason; pages compared."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from chargeback.rates.comparison import compare, proposal
from chargeback.rates.load import parse
from chargeback.rates.meter_names import read_name
from chargeback.rates.retail import items

SHIPPED = Path(__file__).parents[2] / "rates" / "azure-openai.yaml"

# Spellings as the list has them: name -> meter, deployment type, tier, context, model words
READ = {
    # cached input, in the five ways it is written
    "5.4 mini cd Inp Dz 1M Tokens": ("input_cached_text", "DataZoneStandard", "default", "*", "5.4 mini"),
    "GPT 5 cchd Inpt Glbl 1M Tokens": ("input_cached_text", "GlobalStandard", "default", "*", "gpt 5"),
    "gpt-5-codex-ccchd-inp-dzone Tokens": ("input_cached_text", "DataZoneStandard", "default", "*", "gpt 5 codex"),
    "gpt 4.1 mini cached Inp regnl Tokens": ("input_cached_text", "Standard", "default", "*", "gpt 4.1 mini"),
    "GPT 5 Mini Batch Inpt cchd Dzone 1M Tokens": ("input_cached_text", "DataZoneBatch", "default", "*", "gpt 5 mini"),
    # a cache write is 12.5 times a cached read
    "5.6 luna ShortCo Cd Wr Std DZ 1M Tokens": ("cache_write_text", "DataZoneStandard", "default", "short", "5.6 luna"),
    "5.6 luna ShortCo Cd Inp PP DZ 1M Tokens": ("input_cached_text", "DataZoneStandard", "priority", "short", "5.6 luna"),
    # batch, priority, long context
    "gpt 4o mini0718 BatchOutp DataZone Tokens": ("output_text", "DataZoneBatch", "default", "*", "gpt 4o mini 0718"),
    "5.4 longco batch cd inp Gl 1M Tokens": ("input_cached_text", "GlobalBatch", "default", "long", "5.4"),
    "5.4 pro pp opt Gl 1M Tokens": ("output_text", "GlobalStandard", "priority", "*", "5.4 pro"),
    # embeddings have no direction
    "text embedding 3 large DZ Tokens": ("input_text", "DataZoneStandard", "default", "*", "text embedding 3 large"),
    "embedding-ada-glbl Tokens": ("input_text", "GlobalStandard", "default", "*", "embedding ada"),
    # audio, pictures, speech, video, tools
    "gpt rt aud 0828 cchd Inp DZn Tokens": ("input_cached_audio", "DataZoneStandard", "default", "*", "gpt rt 0828"),
    "gpt aud 0828 txt Inp DZone Tokens": ("input_text", "DataZoneStandard", "default", "*", "gpt aud 0828"),
    "gpt-4o-transcribe-aud-inp-glbl Tokens": ("input_audio", "GlobalStandard", "default", "*", "gpt 4o transcribe"),
    "gpt img 1 mini inp cchd img rgnl Tokens": ("input_cached_image", "Standard", "default", "*", "gpt img 1 mini"),
    "gpt-image-1-output-img-dzone Tokens": ("output_image", "DataZoneStandard", "default", "*", "gpt image 1"),
    "Image 2 txt Batch cd inp DZ 1M Tokens": ("input_cached_text", "DataZoneBatch", "default", "*", "image 2"),
    "Speech-Text to Speech HD-global Characters": ("characters", "GlobalStandard", "default", "*", "speech text to speech hd"),
    "Speech-to-Text-Batch-Whisper-glbl Unit": ("audio_hour", "GlobalBatch", "default", "*", "speech to text whisper"),
    "Image-Dall-E-3 Std HighRes-glbl Images": ("image_each", "GlobalStandard", "default", "*", "image dall e 3 std high res"),
    "Sora 2 pro high res glbl Second": ("video_second", "GlobalStandard", "default", "*", "sora 2 pro high res"),
    "Code-Interpreter-global Session": ("code_interpreter_each", "GlobalStandard", "default", "*", "code interpreter"),
    "file-search-tool-calls-glbl Calls": ("file_search_each", "GlobalStandard", "default", "*", "file search tool"),
    # tokens of fine-tuned models
    "gpt-4.1-ft input global Tokens": ("input_text", "GlobalStandard", "default", "*", "gpt 4.1 fine-tuned"),
    "gpt-4.1-nano-dev-ft opt glbl Tokens": ("output_text", "Developer", "default", "*", "gpt 4.1 nano fine-tuned"),
}  # fmt: skip

REFUSED = {
    "Provisioned Managed Data Zone Unit": "`hourly` of a pool of kind ptu",
    "gpt-4.1-ft hosting global Unit": "`hourly` of a pool of kind hosting",
    "gpt-4o-0806-FT-Hstng-regnl Unit": "`hourly` of a pool of kind hosting",
    "o4-mini RFT Training global Unit": "training of a fine-tuned model",
    "gpt-4o-0806-FT-Trng-glbl tkn Tokens": "training of a fine-tuned model",
    "gpt-4.1-mini-ft mdl grdr cchd inpt Tokens": "grading of a fine-tuned model",
    "Provisioned Throughput - Overage Unit": "input, cached, cache write or output",
    "gpt-4-8K-Batch-Inp-regnl Tokens": "a regional batch",
    "Az-GPT4-Turbo-128K Input Tokens": "global, data zone or regional",
    "5.4 inp opt Gl 1M Tokens": "input, cached, cache write or output",
    "5.4 pp flex inp Gl 1M Tokens": "which service tier or context",
}


@pytest.mark.parametrize("name", READ)
def test_a_name_of_every_kind_is_read(name):
    read = read_name(name)

    told = (read.meter, read.deployment_type, read.service_tier, read.context_tier, read.model_words)
    assert (told, read.unread) == (READ[name], None)


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_rate_can_say_is_refused_with_what_to_do(name):
    assert REFUSED[name] in (read_name(name).unread or "")


def test_the_name_of_every_shipped_price_is_read_as_the_offer_it_stands_in():
    """Two hands wrote it: the table's row, and the words of Azure's meter. They must agree."""
    table = parse(SHIPPED.read_text(), source=SHIPPED.name)
    for rate in table.rows.rates:
        for name, meter in rate.meters.items():
            if meter.azure_meter is None:
                continue
            read = read_name(meter.azure_meter)
            context = "long" if rate.context_tier == "long" else "*"
            said = (read.unread, read.meter, read.deployment_type, read.service_tier, read.context_tier)
            assert said == (None, name, rate.deployment_type, rate.service_tier, context), meter.azure_meter


# ---- pages, with the fields and in the order the service sends them


def row(meter, price, unit, *, product="Azure OpenAI", region="eastus", kind="Consumption", **more):
    name = meter.removesuffix(" Tokens").removesuffix(" 1M")
    return {
        "currencyCode": "USD", "tierMinimumUnits": 0.0, "retailPrice": price, "unitPrice": price,
        "armRegionName": region, "location": "US East", "effectiveStartDate": "2026-08-01T00:00:00Z",
        "meterId": f"id of {meter}", "meterName": meter, "productId": "DZH318Z0G2T1", "skuId": "DZH318Z0G2T1/0001",
        "productName": product, "skuName": name, "serviceName": "Foundry Models", "serviceId": "DZH317WPK0R3",
        "serviceFamily": "AI + Machine Learning", "unitOfMeasure": unit, "type": kind,
        "isPrimaryMeterRegion": True, "armSkuName": name, **more,
    }  # fmt: skip


def page(*rows, following=None):
    head = {"BillingCurrency": "USD", "CustomerEntityId": "Default", "CustomerEntityType": "Retail"}
    return json.dumps({**head, "Items": rows, "NextPageLink": following, "Count": len(rows)}).encode()


def shipped_against(*pages):
    return compare(parse(SHIPPED.read_text(), source=SHIPPED.name), items(pages, "pages"))


def test_two_pages_in_units_of_a_thousand_and_a_million_are_the_prices_we_ship():
    found = shipped_against(
        page(
            row("gpt 4.1 Inp glbl Tokens", 0.002, "1K"),
            row("gpt 4.1 Inp glbl Tokens", 0.002, "1K", region="westeurope"),
            following="https://prices.azure.com/api/retail/prices?$skip=1000",
        ),
        page(
            row("GPT 5 outpt Glbl 1M Tokens", 10.0, "1M", product="Azure OpenAI GPT5"),
            row("Speech-Text to Speech-global Characters", 15.0, "1M", product="Azure OpenAI"),
            row("gpt 4.1 nano cached Inp glbl Tokens", 2.5e-05, "1K"),
        ),
    )

    assert (found.same, found.changes, found.unmapped) == (5, (), ())


def test_a_change_is_told_with_meter_region_date_and_both_prices():
    [change] = shipped_against(page(row("o3 0416 Outp glbl Tokens", 0.0072, "1K", region="uksouth"))).changes

    assert (change.rate, change.meter) == ("o3@2025-04-16", "output_text")
    assert (change.ours, change.theirs) == (Decimal("0.000008"), Decimal("0.0000072"))
    for word in ("'o3 0416 Outp glbl Tokens'", "uksouth", "2026-08-01", "0.0072 per 1K"):
        assert word in change.told


def test_reservations_are_no_prices_of_a_meter():
    assert not shipped_against(
        page(row("gpt 4.1 Inp glbl Tokens", 260, "1 Hour", kind="Reservation", reservationTerm="1 Year"))
    ).unmapped


@pytest.mark.parametrize(
    ("meter", "unit", "told"),
    [
        ("5.5 ShortCo inp Gl 1M Tokens", "1M", "may be input_text of Azure OpenAI '5.5', GlobalStandard, short context"),
        ("5 mini flex inp Dz 1M Tokens", "1M", "may be input_text of Azure OpenAI '5 mini', DataZoneStandard, flex"),
        ("gpt-realtime-translate Opt Gl Unit", "1 Hour", "unit '1 Hour' does not fit output_text"),
        ("Provisioned Managed Global Unit", "1/Hour", "an hour of one provisioned unit: enter by hand as `hourly` of a pool of kind ptu"),
    ],
)  # fmt: skip
def test_what_no_rate_refers_to_is_listed_with_what_its_name_says(meter, unit, told):
    [(item, meaning)] = shipped_against(page(row(meter, 1.25, unit))).unmapped

    assert meaning == proposal(item) == told
