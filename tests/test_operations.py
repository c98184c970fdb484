"""An operation is told by what a URL or a name says, never by how somebody named a deployment."""

import pytest

from chargeback.operations import account_in, api_version_in, deployment_in, effect, operation

HOST = "https://aoai-weu-1.openai.azure.com/openai"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        (f"{HOST}/deployments/x/chat/completions?api-version=1", "chat"),
        (f"{HOST}/deployments/chat/completions?api-version=1", "completions"),
        (f"{HOST}/deployments/embeddings/chat/completions", "chat"),
        (f"{HOST}/v1/responses", "responses"),
        (f"{HOST}/deployments/realtime/embeddings", "embeddings"),
        ("ChatCompletions_Create", "chat"),
        ("chat.completion.chunk", "chat"),
        ("", None),
        ("/somewhere/else", None),
    ],
)
def test_an_operation_by_any_name(name, word):
    assert operation(name) == word


def test_a_deployment_named_like_a_free_path_is_a_call():
    assert effect(f"{HOST}/deployments/models/chat/completions") == "call"


def test_what_a_url_says():
    url = f"{HOST}/deployments/chat-eu/chat/completions?api-version=2024-10-21"

    assert (deployment_in(url), api_version_in(url), account_in(url)) == (
        "chat-eu",
        "2024-10-21",
        "aoai-weu-1",
    )
    assert account_in("https://example.org/openai") is None
