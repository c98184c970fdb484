"""The environment as one frozen object, read once; the only reader of environment variables.

All faults are reported at once, by name and expectation; a secret is never part of a message or a repr.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from msgspec import Struct
from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from chargeback.errors import UsageError
from chargeback.privacy import Personal, Privacy, parse_secret

PREFIX = "CHARGEBACK_"


class StorageAccess(Struct, frozen=True, kw_only=True):
    """How to reach one storage account: a connection string, or a URL and an identity."""

    setting: str
    """The prefix it was read from, for messages."""
    connection: SecretStr | None = None
    url: str | None = None
    credential: str | None = None
    client_id: str | None = None

    @property
    def is_known(self) -> bool:
        return self.connection is not None or self.url is not None

    @classmethod
    def named(cls, prefix: str, environment: Mapping[str, str]) -> "StorageAccess":
        """Read the forms Functions knows: ``P``, or ``P__blobServiceUri`` or ``P__accountName`` with an identity."""
        connection = environment.get(prefix)
        account = environment.get(f"{prefix}__accountName")
        url = environment.get(f"{prefix}__blobServiceUri") or (
            f"https://{account}.blob.core.windows.net" if account else None
        )
        return cls(
            setting=prefix,
            connection=SecretStr(connection) if connection else None,
            url=url,
            credential=environment.get(f"{prefix}__credential"),
            client_id=environment.get(f"{prefix}__clientId"),
        )


class Settings(BaseSettings):
    """Names are those of the environment; see docs/settings.md."""

    model_config = SettingsConfigDict(frozen=True, case_sensitive=True, extra="ignore", populate_by_name=True)

    event_hub_connection: SecretStr | None = Field(default=None, alias="EVENT_HUB_CONNECTION")
    event_hub_namespace: str | None = Field(
        default=None, alias="EVENT_HUB_CONNECTION__fullyQualifiedNamespace"
    )
    event_hub_credential: str | None = Field(default=None, alias="EVENT_HUB_CONNECTION__credential")
    event_hub_client_id: str | None = Field(default=None, alias="EVENT_HUB_CONNECTION__clientId")
    event_hub_name: str | None = Field(default=None, alias="EVENT_HUB_NAME")
    event_hub_consumer_group: str = Field(default="$Default", alias="EVENT_HUB_CONSUMER_GROUP")

    storage_connection: SecretStr | None = Field(default=None, alias="AzureWebJobsStorage")
    application_insights: SecretStr | None = Field(
        default=None, alias="APPLICATIONINSIGHTS_CONNECTION_STRING"
    )
    application_insights_authentication: str | None = Field(
        default=None, alias="APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
    )

    rates: str | None = Field(default=None, alias="CHARGEBACK_RATES")
    ledger: str | None = Field(default=None, alias="CHARGEBACK_LEDGER")
    storage: str = Field(default="AzureWebJobsStorage", alias="CHARGEBACK_STORAGE")
    generation: int = Field(default=1, alias="CHARGEBACK_GENERATION", ge=1, le=9999)
    telemetry: Literal["applicationinsights", "opencensus", "none"] = Field(
        default="applicationinsights", alias="CHARGEBACK_TELEMETRY"
    )
    event_alias: bool = Field(default=False, alias="CHARGEBACK_EVENT_ALIAS")
    pseudonym_key: SecretStr | None = Field(default=None, alias="CHARGEBACK_PSEUDONYM_KEY")
    personal: Personal = Field(default="off", alias="CHARGEBACK_PERSONAL")
    tags: Annotated[frozenset[str], NoDecode] = Field(default=frozenset(), alias="CHARGEBACK_TAGS")
    telemetry_deadline_s: float = Field(default=20.0, alias="CHARGEBACK_TELEMETRY_DEADLINE", gt=0, le=300)
    join_timeout_s: int = Field(default=900, alias="CHARGEBACK_JOIN_TIMEOUT", ge=1, le=86_400)
    dead_letter_days: int = Field(default=90, alias="CHARGEBACK_DEAD_LETTER_DAYS", ge=1)
    checkpoints: str = Field(
        default="chargeback-checkpoints", alias="CHARGEBACK_CHECKPOINTS", pattern=r"^[a-z0-9-]{3,63}$"
    )
    batch_events: int = Field(default=1000, alias="CHARGEBACK_BATCH_EVENTS", ge=1, le=5000)
    prefetch_bytes: int = Field(default=256 * 1024 * 1024, alias="CHARGEBACK_PREFETCH_BYTES", ge=1024 * 1024)
    balancing_s: float = Field(default=10.0, alias="CHARGEBACK_BALANCING_INTERVAL", gt=0, le=300)
    ownership_s: float = Field(default=60.0, alias="CHARGEBACK_OWNERSHIP_EXPIRY", gt=0, le=3600)
    settle_s: float = Field(default=60.0, alias="CHARGEBACK_SETTLE_INTERVAL", gt=0, le=3600)
    health: str | None = Field(default=None, alias="CHARGEBACK_HEALTH")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", alias="CHARGEBACK_LOG_LEVEL"
    )

    @field_validator("tags", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Read the allow-list as names separated by commas."""
        return (
            frozenset(name.strip() for name in value.split(",") if name.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("health")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if not value:
            return None
        host, colon, port = value.rpartition(":")
        if not (host and colon and port.isdecimal() and int(port) < 65536):
            raise ValueError("expected HOST:PORT, such as 127.0.0.1:8080 or 0.0.0.0:8080")
        return value

    _access: StorageAccess = PrivateAttr(default_factory=lambda: StorageAccess(setting=""))

    def model_post_init(self, _: Any) -> None:
        """Read the storage's forms once, with everything else."""
        self._access = StorageAccess.named(self.storage, os.environ)
        if self.storage == "AzureWebJobsStorage" and self.storage_connection is not None:
            self._access = StorageAccess(setting=self.storage, connection=self.storage_connection)

    @property
    def storage_access(self) -> StorageAccess:
        """How to reach the storage ``CHARGEBACK_STORAGE`` names."""
        return self._access

    @property
    def unread(self) -> list[str]:
        """Names of the environment that look like ours and are no setting; some may be misspelt."""
        known = {*self.names(), self.storage}
        return sorted(
            name for name in os.environ if name.startswith(PREFIX) and name.partition("__")[0] not in known
        )

    @classmethod
    def names(cls) -> list[str]:
        return [str(field.alias) for field in cls.model_fields.values()]

    @property
    def join_timeout(self) -> timedelta:
        return timedelta(seconds=self.join_timeout_s)

    @property
    def privacy(self) -> Privacy:
        secret, version = parse_secret(self.pseudonym_key.get_secret_value() if self.pseudonym_key else None)
        return Privacy(secret=secret, secret_version=version, personal=self.personal, tags=self.tags)

    @classmethod
    def load(cls) -> Self:
        """Read the environment. Raises UsageError with every faulty setting, and no value of any."""
        try:
            return cls()
        except ValidationError as error:
            faults = "; ".join(
                f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors(include_input=False)
            )
            raise UsageError(f"settings: {faults}") from None
