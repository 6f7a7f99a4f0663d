"""Curves over frames, one line a result, as SVG."""

import io
from collections.abc import Mapping, Sequence

_SIZE = (9.0, 2.4)  # inches, of one chart
_COLOURS = ("#2a6fdb", "#c2410c", "#15803d", "#7c3aed", "#b45309", "#0e7490", "#be185d", "#4d7c0f")

Lines = Mapping[str, Sequence[float | None]]  # by name, a value a frame


def curves(charts: Mapping[str, Lines], stems: Sequence[str]) -> str:
    """Charts by title, side by side; the same values give the same bytes."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {"svg.hashsalt": "dynprep", "font.size": 8, "text.parse_math": False}
    ):
        figure = Figure(figsize=_SIZE, layout="constrained")
        FigureCanvasSVG(figure)
        grid = figure.subplots(1, len(charts), squeeze=False)[0]
        names: dict[str, str] = {}
        for axes, (title, lines) in zip(grid, charts.items(), strict=True):
            for name, values in lines.items():
                colour = names.setdefault(name, _COLOURS[len(names) % len(_COLOURS)])
                numbers = [float("nan") if v is None else v for v in values]
                axes.plot([int(s) for s in stems], numbers, color=colour, linewidth=1.2, label=name)
            axes.set_title(title)
            axes.set_xlabel("frame")
            if len(lines) > 1:
                axes.legend(frameon=False)
            axes.spines[["top", "right"]].set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
