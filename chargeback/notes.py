"""The fixed words of ``usage_notes`` that do not come from token counting, and what they mean."""

NOTES: dict[str, str] = {
    "assumed_deployment": "the event names no deployment; a dated default of the rate table did",
    "body_missing": "the event holds no body on one side, so that side could not be counted",
    "counted_characters": "the characters of the text to be spoken were counted",
    "end_of_input": "a replay ended before all parts of the call had come",
    "event_time_unknown": "the event holds no readable time; the hub's enqueue time decides the price",
    "event_time_ahead": "the event says it happened minutes or more after the hub had it; its own time was billed",
    "join_timeout": "parts of the call did not come in time; what had come was billed",
    "model_differs": "the answer names another model than the rate table has for the deployment",
    "request_abridged": "the event keeps only the messages of the request; tools and formats were not counted",
    "spillover_not_provisioned": "the call spilled over from a deployment that the rate table has as not provisioned",
    "tier_differs": "the answer names another service tier than the request asked for; the answer's is billed",
    "upper_bound": "the split into cached and uncached tokens is unknown; all are priced as uncached",
    "usage_event_missing": "the counts of the call come in an event of their own, which did not come",
}
