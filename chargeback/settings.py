"""The environment as one frozen object, read once; the only reader of environment variables.

All faults are reported at once, by name and expectation; a secret is never part of a message or a repr.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from chargeback.errors import UsageError
from chargeback.privacy import Personal, Privacy, parse_secret


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
