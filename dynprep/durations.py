"""Spans of time in words."""

_MINUTE, _HOUR = 60, 3600


def duration(seconds: float) -> str:
    """Such as ``40 s``, ``12 min``, ``1 h 12 min``."""
    whole = max(round(seconds), 0)
    if whole < _MINUTE:
        return f"{whole} s"
    hours, rest = divmod(whole, _HOUR)
    minutes = round(rest / _MINUTE) if not hours else rest // _MINUTE
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
