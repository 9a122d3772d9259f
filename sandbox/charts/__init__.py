"""history, result or comparison -> figure, alternative text and table. Charts know nothing else.

One file a chart: a function that returns a `Chart`. To add one, write its file beside the others and name it below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.charts.chart import Chart
    from sandbox.harness.comparison import Comparison


def charts_of(comparison: Comparison) -> list[Chart]:
    """The charts of a comparison's report, in reading order; without those that have nothing to show."""
    from sandbox.charts.acceptance import acceptance
    from sandbox.charts.ecdf import ecdf_of_comparison
    from sandbox.charts.medians import medians

    charts = [medians(comparison), acceptance(comparison), ecdf_of_comparison(comparison)]
    return [chart for chart in charts if chart.rows]
