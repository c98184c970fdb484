"""HTTP for storage and telemetry: proxies and certificates of the environment, looked up once a transport.

requests looks them up for every request, which costs it a fifth of its time.
"""

from typing import Any

from azure.core.pipeline.transport import RequestsTransport


def transport_to(url: str, **options: Any) -> RequestsTransport:
    """Return an open transport for requests to the host of ``url``; ``options`` are azure-core's."""
    made = RequestsTransport(**options)
    made.open()
    session: Any = made.session
    # HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE and their like.
    found = session.merge_environment_settings(url, {}, None, True, None)  # noqa: FBT003  ``verify`` has no name
    session.trust_env = False
    session.proxies = found["proxies"]
    made.connection_config.verify = found["verify"]
    return made
