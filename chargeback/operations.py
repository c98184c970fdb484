"""From the many names of an API operation to ours: body objects, URL paths, operation ids."""

import re
from typing import Literal

Effect = Literal["call", "fetch", "free"]
"""What a request does: makes a model run, fetches what a model made before, or neither."""

OBJECTS = {
    "chat.completion": "chat",
    "chat.completion.chunk": "chat",
    "text_completion": "completions",
    "list": "embeddings",
    "embedding": "embeddings",
    "response": "responses",
    "realtime.response": "realtime",
    "thread.run": "other",
}
"""The ``object`` member of an answer: the strongest evidence there is."""

EVENT_TYPES = {
    "response.": "responses",
    "image_generation.": "images",
    "image_edit.": "images",
    "transcript.": "audio",
    "speech.": "audio",
}
"""What the ``type`` of a streamed event begins with, where its data has no ``object``."""

NAMES = {
    "chatcompletion": "chat",
    "chatcompletions_create": "chat",
    "createchatcompletion": "chat",
    "chat.completions.create": "chat",
    "textcompletion": "completions",
    "completions_create": "completions",
    "createcompletion": "completions",
    "embeddings_create": "embeddings",
    "embeddings": "embeddings",
    "createembedding": "embeddings",
    "responses_create": "responses",
    "createresponse": "responses",
    "responses_get": "responses",
    "getresponse": "responses",
    "responses_cancel": "responses",
    "cancelresponse": "responses",
    "get-a-generated-image-result": "images",
    "imagegenerations_create": "images",
    "createimage": "images",
    "createimageedit": "images",
    "transcriptions_create": "audio",
    "translations_create": "audio",
    "speech_create": "audio",
    "createtranscription": "audio",
    "createtranslation": "audio",
    "createspeech": "audio",
    "chat": "chat",
    "completions": "completions",
    "responses": "responses",
    "images": "images",
    "audio": "audio",
    "realtime": "realtime",
    "batch": "batch",
}
"""Operation ids as imported from the published API descriptions, and our own words, without case."""

TITLES = {
    "creates a completion for the chat message": "chat",
    "creates a completion for the provided prompt, parameters and chosen model.": "completions",
    "get a vector representation of a given input that can be easily consumed by machine learning models and other algorithms.": "embeddings",
}
"""Display names of operations. Free text an importer chose: asked only where nothing else speaks."""

FREE_OBJECTS = frozenset(
    {
        "model",
        "file",
        "upload",
        "batch",
        "response.deleted",
        "chat.completion.deleted",
        "fine_tuning.job",
        "assistant",
        "assistant.deleted",
        "thread",
        "thread.deleted",
        "thread.message",
        "vector_store",
        "vector_store.file",
        "vector_store.deleted",
        "message",
    }
)
"""Answers no model made: catalogue entries, files, jobs, receipts of deletion."""

_EFFECTS: dict[str, Effect] = {
    "responses_get": "fetch",
    "getresponse": "fetch",
    "responses_cancel": "fetch",
    "cancelresponse": "fetch",
    "responses_delete": "free",
    "deleteresponse": "free",
    "responses_list_input_items": "free",
    "listinputitems": "free",
    "models_list": "free",
    "listmodels": "free",
    "models_get": "free",
    "retrievemodel": "free",
    "files_list": "free",
    "files_get": "free",
    "files_upload": "free",
    "files_delete": "free",
    "createfile": "free",
    "listfiles": "free",
    "deletefile": "free",
    "retrievefile": "free",
    "batch_create": "free",
    "batch_get": "free",
    "batch_list": "free",
    "batch_cancel": "free",
    "createbatch": "free",
    "retrievebatch": "free",
    "listbatches": "free",
    "cancelbatch": "free",
}

_PATHS = (
    (re.compile(r"/chat/completions\b"), "chat"),
    (re.compile(r"/completions\b"), "completions"),
    (re.compile(r"/embeddings\b"), "embeddings"),
    (re.compile(r"/responses\b"), "responses"),
    (re.compile(r"/images/"), "images"),
    (re.compile(r"/audio/"), "audio"),
    (re.compile(r"/realtime\b"), "realtime"),
    (re.compile(r"/batches\b"), "batch"),
    (re.compile(r"/(assistants|threads|files|models|fine_tuning|vector_stores)\b"), "other"),
)
_EFFECT_PATHS: tuple[tuple[re.Pattern[str], Effect], ...] = (
    (re.compile(r"/responses/[^/?#]+/input_items\b"), "free"),
    (re.compile(r"/responses/[^/?#]+(/cancel)?/?([?#]|$)"), "fetch"),
    (re.compile(r"/(files|models|batches|fine_tuning|vector_stores)\b"), "free"),
)
_DEPLOYMENT = re.compile(r"(?:/deployments/|[?&]deployment=)([^/?#&]+)")
_DEPLOYMENT_NAME = re.compile(r"/deployments/[^/?#]+")
_API_VERSION = re.compile(r"[?&]api-version=([^&#]+)")


def operation(name: str | None) -> str | None:
    """Return our word for an operation id, an ``object`` value or a URL path; None if it says nothing."""
    if not name:
        return None
    if "/" in name:
        path = _without_deployment(name)
        return next((word for pattern, word in _PATHS if pattern.search(path)), None)
    lower = name.lower()
    return OBJECTS.get(lower) or NAMES.get(lower)


def _without_deployment(url: str) -> str:
    """Blank the deployment's name: one called ``chat`` or ``responses`` would read as an operation."""
    return _DEPLOYMENT_NAME.sub("/deployments/-", url)


def titled(title: str | None) -> str | None:
    """Return our word for an operation's display name, or for an operation id in its place."""
    return operation(title) or TITLES.get((title or "").strip().lower())


def effect(name: str | None, method: str | None = None) -> Effect:
    """Return what an operation id or a URL does; a ``call`` where nothing says otherwise."""
    if not name:
        return "call"
    if method and method.upper() == "DELETE":
        return "free"
    if "/" in name:
        if operation(name) not in ("responses", "batch", "other"):
            return "call"
        for pattern, word in _EFFECT_PATHS:
            if pattern.search(_without_deployment(name)):
                return word
        return "call"
    return _EFFECTS.get(name.lower(), "call")


def deployment_in(url: str | None) -> str | None:
    """Return the deployment's name from an Azure OpenAI URL."""
    match = _DEPLOYMENT.search(url or "")
    return match[1] if match else None


def api_version_in(url: str | None) -> str | None:
    """Return the ``api-version`` of a URL's query."""
    match = _API_VERSION.search(url or "")
    return match[1] if match else None


def account_in(backend: str | None) -> str | None:
    """Return the resource's name: the first label of an Azure OpenAI host, or None for any other host."""
    host = (backend or "").split("://")[-1].split("/")[0].lower()
    label, dot, domain = host.partition(".")
    return (
        label
        if dot and domain.startswith(("openai.azure.", "cognitiveservices.azure.", "services.ai.azure."))
        else None
    )
