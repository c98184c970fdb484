"""Call Azure OpenAI through the gateway: python call.py [--stream] [--completions] [text].

Reads GATEWAY_URL, DEPLOYMENT, and API_KEY, or without a key AUDIENCE, from the environment; see call.sh.
A token needs azure-identity; everything else is in Python.
"""

# ruff: noqa: INP001, PLC0415, S310, T201, TID251 - a client's program, which is no part of the worker
import argparse
import json
import os
import sys
import urllib.error
import urllib.request


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--completions", action="store_true")
    parser.add_argument("text", nargs="?", default="Say hello in one word.")
    asked = parser.parse_args()
    body = (
        {"prompt": asked.text, "max_tokens": 50}
        if asked.completions
        else {"messages": [{"role": "user", "content": asked.text}]}
    )
    operation = "completions" if asked.completions else "chat/completions"
    version = os.environ.get("API_VERSION", "2024-10-21")
    place = f"{os.environ['GATEWAY_URL']}/openai/deployments/{os.environ['DEPLOYMENT']}"
    request = urllib.request.Request(
        f"{place}/{operation}?api-version={version}",
        data=json.dumps(body | {"stream": asked.stream}).encode(),
        headers={"Content-Type": "application/json", **proof()},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            for line in answer:
                sys.stdout.write(line.decode())
                sys.stdout.flush()
    except urllib.error.HTTPError as error:
        print(error.read().decode(), file=sys.stderr)
        return 1
    print()
    return 0


def proof() -> dict[str, str]:
    """Return who calls: by key, or by a token of whoever is signed in here."""
    consumer = {"x-chargeback-consumer": os.environ["CONSUMER"]} if os.environ.get("CONSUMER") else {}
    if key := os.environ.get("API_KEY"):
        return {"api-key": key, **consumer}
    from azure.identity import DefaultAzureCredential

    audience = os.environ.get("AUDIENCE", "api://azure-openai-gateway")
    token = DefaultAzureCredential().get_token(f"{audience}/.default").token
    return {"Authorization": f"Bearer {token}", **consumer}


if __name__ == "__main__":
    raise SystemExit(main())
