"""From the many names of an API operation to ours: body objects, URL paths, operation ids."""

import re

OBJECTS = {
    "chat.completion": "chat",
    "chat.completion.chunk": "chat",
    "text_completion": "completions",
    "list": "embeddings",
    "embedding": "embeddings",
    "response": "responses",
}
"""The ``object`` member of an answer: the strongest evidence there is."""

NAMES = {
    "chatcompletion": "chat",
    "chatcompletions_create": "chat",
    "createchatcompletion": "chat",
    "textcompletion": "completions",
    "completions_create": "completions",
    "createcompletion": "completions",
    "embeddings_create": "embeddings",
    "embeddings": "embeddings",
    "createembedding": "embeddings",
    "responses_create": "responses",
    "createresponse": "responses",
    "get-a-generated-image-result": "images",
    "imagegenerations_create": "images",
    "chat": "chat",
    "completions": "completions",
    "responses": "responses",
    "images": "images",
    "audio": "audio",
    "realtime": "realtime",
    "batch": "batch",
}
"""Operation ids as imported from the published API descriptions, and our own words, without case."""

_PATHS = (
    (re.compile(r"/chat/completions\b"), "chat"),
    (re.compile(r"/completions\b"), "completions"),
    (re.compile(r"/embeddings\b"), "embeddings"),
    (re.compile(r"/responses\b"), "responses"),
    (re.compile(r"/images/"), "images"),
    (re.compile(r"/audio/"), "audio"),
    (re.compile(r"/realtime\b"), "realtime"),
    (re.compile(r"/batches\b"), "batch"),
    (re.compile(r"/(assistants|threads|files|models|fine_tuning)\b"), "other"),
)
_DEPLOYMENT = re.compile(r"/deployments/([^/?#]+)")
_API_VERSION = re.compile(r"[?&]api-version=([^&#]+)")


def operation(name: str | None) -> str | None:
    """Return our word for an operation id, an ``object`` value or a URL path; None if it says nothing."""
    if not name:
        return None
    if "/" in name:
        return next((word for pattern, word in _PATHS if pattern.search(name)), None)
    lower = name.lower()
    return OBJECTS.get(lower) or NAMES.get(lower)


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
