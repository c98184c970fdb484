"""The closed vocabularies of the rate table: what may be metered, in which unit, under which offer.

Every word is a row of a table here; the schema, the checks, the rating and the docs read the same rows.
"""

from decimal import Decimal

from msgspec import Struct


class Unit(Struct, frozen=True):
    """``per`` of a price: so many of which dimension. Powers of ten only, so that division is exact."""

    dimension: str
    per: int


# The spellings of Azure's `unitOfMeasure`, with the thing that is counted written out: Azure says "1K"
# for tokens and for searches alike, and a price off by 1000 is the classic fault.
UNITS: dict[str, Unit] = {
    "1K tokens": Unit("tokens", 1_000),
    "1M tokens": Unit("tokens", 1_000_000),
    "1 token": Unit("tokens", 1),
    "1 hour": Unit("hours", 1),
    "1 second": Unit("seconds", 1),
    "1 character": Unit("characters", 1),
    "1K characters": Unit("characters", 1_000),
    "1M characters": Unit("characters", 1_000_000),
    "1": Unit("each", 1),
    "100": Unit("each", 100),
    "1K": Unit("each", 1_000),
}

# meter -> the dimension its price must have
METERS: dict[str, str] = {
    "input_text": "tokens",
    "input_cached_text": "tokens",
    "cache_write_text": "tokens",
    "output_text": "tokens",
    "input_audio": "tokens",
    "input_cached_audio": "tokens",
    "output_audio": "tokens",
    "input_image": "tokens",
    "input_cached_image": "tokens",
    "output_image": "tokens",
    "hosting_hour": "hours",
    "audio_hour": "hours",
    "audio_second": "seconds",
    "video_second": "seconds",
    "characters": "characters",
    "image_each": "each",
    "code_interpreter_each": "each",
    "file_search_each": "each",
}

# kind of model -> the meters every token rate of such a model must price
MODEL_KINDS: dict[str, tuple[str, ...]] = {
    "chat": ("input_text", "input_cached_text", "output_text"),
    "chat_audio": ("input_text", "output_text", "input_audio", "output_audio"),
    "realtime": ("input_text", "output_text", "input_audio", "output_audio"),
    "completion": ("input_text", "output_text"),
    "embedding": ("input_text",),
    "transcription": (),
    "speech": (),
    "image": (),
    "video": (),
    "other": (),
}

# Names of Azure's deployment SKUs.
TOKEN_TYPES = (
    "GlobalStandard",
    "DataZoneStandard",
    "Standard",
    "GlobalBatch",
    "DataZoneBatch",
    "Developer",
)
# Paid by the hour whether used or not: a call's tokens only divide the pool.
PROVISIONED_TYPES = ("GlobalProvisionedManaged", "DataZoneProvisionedManaged", "ProvisionedManaged")
DEPLOYMENT_TYPES = TOKEN_TYPES + PROVISIONED_TYPES

# What a *response* may say it was served as. A value that is not here is never taken for `default`.
SERVICE_TIERS = ("default", "priority", "flex")
CONTEXT_TIERS = ("*", "short", "long")

PRICE_BASES = ("list", "negotiated")
CACHE_SPLITS = ("uncached", "unpriced")

# What a pool pays for; each must say by what it is divided and who carries what nobody used.
POOL_KINDS = ("ptu", "hosting", "shared", "true_up")
POOL_DRIVERS = ("weighted_tokens", "tokens", "calls", "cost", "fixed")
IDLE_POLICIES = ("platform", "proportional", "fixed_share")

# ISO 4217, the codes of money in use.
_ISO_4217 = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL
LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP
PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT
TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_ISO_4217.split())

# A token price per million beyond these bounds is a slip of the keyboard, not an offer.
PRICE_DIGITS = 9
PRICE_DECIMALS = 12

ZERO = Decimal(0)
