"""The names of Azure's meters, taken apart into words: which offer and meter one may be, or why nobody can say.

    "5.4 mini cd Inp Dz 1M Tokens"   input_cached_text, DataZoneStandard, model words "5.4 mini"

Azure documents no grammar; the vocabulary is the spellings its list has. A word that is not in it stays with the
model's name, because one unread word can change the price twelve times (``5.4`` and ``5.4 pro``).
"""

import re
from collections.abc import Mapping

from msgspec import Struct

Found = dict[str, set[str]]

# (group, meaning, spellings): earlier rows take their words first, so a longer phrase stands before its parts.
_PHRASES: tuple[tuple[str, str, str], ...] = (
    (
        "noise",
        "noise",
        r"1m tokens?|tkn tokens?|tkn|tokens?|units?|characters|images|session|calls|second|video",
    ),
    ("graded", "graded", r"(?:ft )?(?:mdl|mdel|model) (?:ft )?(?:grdr|grader)|grdr|grader"),
    ("hours", "training", r"(?:dev )?(?:ft |rft )?(?:training|trng)"),
    ("hours", "hosting", r"(?:ft )?(?:deployment )?(?:hosting|hstng)"),
    ("hours", "provisioned", r"provisioned managed"),
    ("tuned", "developer", r"dev r?ft"),
    ("tuned", "tuned", r"r?ft"),
    ("direction", "cache_write", r"cd wr|cw"),
    ("direction", "cached", r"(?:cached|cched|cchd|ccchd|cach|cd) (?:inpt|input|inp|in)"),
    ("direction", "cached", r"(?:inpt|input|inp|in) (?:cached|cchd|cd)|cached|cchd|ccchd|cach|cd"),
    ("direction", "output", r"outpt|outp|output|out|opt"),
    ("direction", "input", r"inpt|input|inp|in"),
    ("scope", "DataZone", r"data ?zone|dzone|dzn|dz"),
    ("scope", "Global", r"glbl|global|glb|gl"),
    ("scope", "Regional", r"regnl|rgnl|regional|regn|rg"),
    ("tier", "priority", r"pp"),
    ("tier", "flex", r"flex|fl"),
    ("tier", "default", r"std"),
    ("batch", "batch", r"batch"),
    ("context", "short", r"short ?co|sh ?co"),
    ("context", "long", r"long ?co|lo ?co"),
)
# What a token is of. `aud` beside `txt` names the model, an audio one, and `txt` what is counted.
_MODALITIES = {"audio": r"audio|aud", "text": r"text|txt", "image": r"image|img"}

_DIRECTIONS = {
    ("input", "text"): "input_text",
    ("cached", "text"): "input_cached_text",
    ("cache_write", "text"): "cache_write_text",
    ("output", "text"): "output_text",
    ("input", "audio"): "input_audio",
    ("cached", "audio"): "input_cached_audio",
    ("output", "audio"): "output_audio",
    ("input", "image"): "input_image",
    ("cached", "image"): "input_cached_image",
    ("output", "image"): "output_image",
}
_TYPES = {
    ("Global", False): "GlobalStandard",
    ("DataZone", False): "DataZoneStandard",
    ("Regional", False): "Standard",
    ("Global", True): "GlobalBatch",
    ("DataZone", True): "DataZoneBatch",
}
# Meters of things, not of tokens: how the name begins or what it holds -> our meter.
_THINGS: tuple[tuple[str, str], ...] = (
    (r" speech text to speech ", "characters"),
    (r" speech to text batch whisper ", "audio_hour"),
    (r" image dall ?e ", "image_each"),
    (r" sora ", "video_second"),
    (r" code interpreter ", "code_interpreter_each"),
    (r" file search tool ", "file_search_each"),
)
# Hours of capacity are no price of a call.
_POOLED = {
    "provisioned": "an hour of one provisioned unit: enter by hand as `hourly` of a pool of kind ptu",
    "hosting": "an hour of hosting a fine-tuned model: enter by hand as `hourly` of a pool of kind hosting",
    "training": "training of a fine-tuned model: enter by hand as `amount` of a pool of kind shared",
}


class Read(Struct, frozen=True, kw_only=True):
    """A meter's name, taken apart."""

    meter: str | None
    deployment_type: str | None
    service_tier: str
    context_tier: str
    model_words: str
    unread: str | None
    """Why it cannot be mapped by its words."""


def read_name(name: str) -> Read:
    """Take a meter's name apart; what remains when every known word is taken out is the model's name."""
    words = _split(name)
    thing = next((meter for pattern, meter in _THINGS if re.search(pattern, words)), None)
    modality = _modality(words)
    found: Found = {}
    for group, meaning, pattern in _PHRASES:
        if thing and group == "tier":  # a picture's `Std` is its quality
            continue
        words, count = re.subn(rf"(?<= )(?:{pattern})(?= )", "", words)
        words = re.sub(r" +", " ", words)
        if count:
            found.setdefault(group, set()).add(meaning)
    if thing is None:
        words = _without_modality(words, modality)
    model = " ".join(words.split())
    if "embedding" in model and "direction" not in found:  # embeddings have no output to tell apart
        found["direction"] = {"input"}
    meter = thing or _DIRECTIONS.get((_only(found, "direction") or "", modality))
    return Read(
        meter=meter,
        deployment_type=_type(found, thing),
        service_tier=_only(found, "tier") or "default",
        context_tier=_only(found, "context") or "*",
        model_words=f"{model} fine-tuned" if "tuned" in found else model,
        unread=_problem(found, meter, model),
    )


def _split(name: str) -> str:
    """Write the words apart that Azure writes together, such as ``BatchOutp`` and ``mini0718``."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"[-_/]+", " ", name)).lower()
    return f" {re.sub(r'(?<=[a-z]{3})(?=[0-9])', ' ', apart)} ".replace("  ", " ")


def _modality(words: str) -> str:
    """``text`` wins: beside it another word belongs to the model's name. An embedding's `text` is its name."""
    said = {name for name, pattern in _MODALITIES.items() if re.search(rf" (?:{pattern}) ", words)}
    if not said or "text" in said:
        return "text"
    return next(iter(said)) if len(said) == 1 else ""


def _without_modality(words: str, modality: str) -> str:
    """Take the word out, but not out of a model's name: ``text embedding``, ``gpt img 1``, ``gpt aud``."""
    pattern = _MODALITIES.get(modality)
    if pattern is None:
        return words
    return re.sub(rf"(?<! gpt)(?<= )(?:{pattern})(?= )(?! embedding)(?! \d )", "", words)


def _type(found: Found, thing: str | None) -> str | None:
    scope = _only(found, "scope")
    if _only(found, "hours") == "provisioned":
        return {"Global": "GlobalProvisionedManaged", "DataZone": "DataZoneProvisionedManaged"}.get(
            scope or "", "ProvisionedManaged"
        )
    if "developer" in found.get("tuned", ()):
        return "Developer"
    return _TYPES.get((scope or "", "batch" in found)) if thing or scope else None


def _only(found: Mapping[str, set[str]], group: str) -> str | None:
    words = found.get(group, set())
    return next(iter(words)) if len(words) == 1 else None


def _problem(found: Found, meter: str | None, model: str) -> str | None:
    hours = next(iter(found.get("hours", ())), None)
    twice = len(found.get("tier", ())) > 1 or len(found.get("context", ())) > 1
    scope = _only(found, "scope")
    problems = (
        ("graded" in found, "grading of a fine-tuned model: enter by hand"),
        (hours is not None, _POOLED.get(hours or "", "")),
        (meter is None, "no word, or several, say whether it is input, cached, cache write or output"),
        (scope is None, "no word, or several, say whether it is global, data zone or regional"),
        (scope == "Regional" and "batch" in found, "a regional batch, which is no deployment type"),
        (twice, "several words say which service tier or context it is"),
        (not model, "no word is left for the model"),
    )
    return next((told for wrong, told in problems if wrong), None)
