"""Scale, shift, inliers and residual of an alignment over time, as an SVG."""

import io
from typing import Any

_SIZE = (9.0, 2.6)  # inches
_SERIES = (
    ("scale", "scale", "#2a6fdb"),
    ("shift", "shift (1/m)", "#c2410c"),
    ("inliers", "inliers (share)", "#15803d"),
    ("residual", "residual (1/m)", "#7c3aed"),
)


def alignment_svg(report: dict[str, Any]) -> str:
    """The report's frames as four small charts; the same report gives the same bytes."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    fits = list(report["frames"].values())
    refused = [k for k, fit in enumerate(fits) if fit["fallback"]]
    with matplotlib.rc_context(
        {"svg.hashsalt": "dynprep", "font.size": 8, "text.parse_math": False}
    ):
        figure = Figure(figsize=_SIZE, layout="constrained")
        FigureCanvasSVG(figure)
        for axes, (name, title, colour) in zip(
            figure.subplots(1, len(_SERIES)), _SERIES, strict=True
        ):
            values = [fit[name] for fit in fits]
            axes.plot(values, color=colour, linewidth=1.2)
            axes.plot(refused, [values[k] for k in refused], "x", color="red", markersize=4)
            axes.set_title(title)
            axes.set_xlabel("frame")
            axes.spines[["top", "right"]].set_visible(False)
            if name == "inliers":
                axes.set_ylim(-0.02, 1.02)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
