"""Whether the Hugging Face hub can be reached: asked once a process."""

import functools

# Enough for a slow connection; without one, its libraries would try again for half a minute.
REACH_SECONDS = 5.0


def hub_reachable() -> bool:
    """Whether the hub answers within 5 seconds; False at once where HF_HUB_OFFLINE is set."""
    import huggingface_hub
    from huggingface_hub import constants

    return not huggingface_hub.is_offline_mode() and _answers(constants.ENDPOINT)


@functools.cache
def _answers(endpoint: str) -> bool:
    from huggingface_hub import get_session

    try:
        status = get_session().head(endpoint, timeout=REACH_SECONDS).status_code
    except Exception:  # a proxy, a name server or a TLS library each fail in their own way; all mean "no"
        return False
    return status < 500 and status not in (403, 407)  # with which a proxy refuses
