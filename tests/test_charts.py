"""Charts say what the data say: in marks, in words and as a table, and look the same everywhere."""

from __future__ import annotations

import math
from itertools import combinations

import matplotlib as mpl
import pytest
from compared import compared, every_case, made
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from sandbox.catalogue import catalogue
from sandbox.charts import charts_of
from sandbox.charts.acceptance import acceptance
from sandbox.charts.chart import Chart
from sandbox.charts.ecdf import ecdf_of_comparison, ecdf_of_result
from sandbox.charts.medians import medians
from sandbox.charts.style import LOOKS, SIZE, VARIANTS, Look, look, looks, preferred
from sandbox.errors import BadArgument
from sandbox.exchange.schema import Verb
from sandbox.guarantees import Acceptor


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]  # type: ignore[attr-defined]


def marks(figure: Figure) -> list[str]:
    return [str(line.get_marker()) for axes in figure.axes for line in axes.get_lines()]


# --- what is said is computed from the data -------------------------------------------------------


def test_the_alternative_text_of_the_medians_holds_the_figures_of_the_data() -> None:
    alt = medians(compared(made())).alt
    assert "spool (at least once, flushed to disk; natural) has a median of 2 ms (95 % interval 2 ms to 2 ms)" in alt
    assert "p90 5 ms, p99 40 ms, a floor of 0.5 ms, and 0.1 ms for the bare medium (one write)" in alt
    assert "from 1,200 samples." in alt


def test_the_table_of_the_medians_holds_the_same_figures_as_numbers() -> None:
    row = medians(compared(made())).to_frame().iloc[0]
    assert (row["p50 ms"], row["p90 ms"], row["p99 ms"], row["floor p50 ms"]) == (2.0, 5.0, 40.0, 0.5)
    assert row["samples"] == 1200


def test_overlapping_intervals_are_called_a_tie_and_others_are_not() -> None:
    same = medians(compared(made(), made("rename"), made("socket", "rpc", mix=(1.0,)))).alt
    assert "The intervals of the medians overlap, which is a tie, for rename and spool." in same


def test_the_alternative_text_of_the_distribution_holds_the_figures_of_the_data() -> None:
    alt = ecdf_of_comparison(compared(made())).alt
    assert "Of spool's 1,200 operations 50 % were done by 2 ms, 90 % were done by 5 ms" in alt
    assert "the slowest that came took 40 ms" in alt


def test_one_run_has_its_own_distribution() -> None:
    chart = ecdf_of_result(made().results[0])
    assert [row[:2] for row in chart.rows] == [("tell", "spool")]


def test_acceptance_is_told_apart_from_being_done() -> None:
    late = made("socket", "rpc", mix=(1.0,), accepted=3.0, by=Acceptor.PEER)
    alt = acceptance(compared(made(), late)).alt
    assert "spool: accepted (flushed to disk) after 0.1 ms" in alt
    assert "done after 2 ms (95 % interval 2 ms to 2 ms), 1.9 ms later." in alt
    assert "socket: accepted (receiver has it) after 3 ms" in alt
    assert "2 ms before the sender knows." in alt


def test_a_closed_loop_counts_from_the_actual_start_and_every_chart_says_so() -> None:
    for chart in charts_of(compared(made(loop="closed"))):
        assert "actual start" in chart.alt
        assert any("actual start" in text for text in words(chart.figure()))
        assert "intended" not in chart.alt + "".join(words(chart.figure()))


def test_a_verb_that_was_not_compared_is_refused_by_name() -> None:
    with pytest.raises(BadArgument, match="expected one of tell, got 'ask'"):
        medians(compared(made()), ["ask"])


def test_without_tells_there_is_no_chart_of_their_acceptance() -> None:
    names = [chart.name for chart in charts_of(compared(made(verb=Verb.ASK)))]
    assert names == ["medians", "ecdf"]


# --- what cannot be quoted is not drawn -----------------------------------------------------------


def test_a_p99_with_too_few_samples_beyond_it_is_not_drawn_and_that_is_said() -> None:
    # Given 240 samples, of which 2.4 lie beyond the p99
    few, enough = medians(compared(made(count=240))), medians(compared(made()))
    assert "x" in marks(enough.figure())
    assert "x" not in marks(few.figure())
    assert "+" in marks(few.figure())
    assert any("p99: too few samples" in text for text in words(few.figure()))
    assert "p99 too few samples" in few.alt
    assert few.to_frame()["p99 ms"].isna().all()


def test_a_missing_p99_of_one_row_is_said_in_that_row() -> None:
    texts = words(medians(compared(made(), made("rename", count=240))).figure())
    assert "p99: too few samples" in texts


def test_a_median_with_too_few_samples_is_not_drawn_and_that_is_said() -> None:
    chart = medians(compared(made(count=12, floor=False)))
    assert "spool (at least once, flushed to disk; natural) has too few samples to quote a median: 12." in chart.alt
    assert "too few samples (12)" in words(chart.figure())
    assert marks(chart.figure()) == []


def test_the_distribution_quotes_no_share_with_too_few_samples_beyond_it() -> None:
    row = ecdf_of_comparison(compared(made(count=240))).to_frame().iloc[0]
    assert row["90 % ms"] == 5.0
    assert math.isnan(row["99 % ms"])


def test_the_acceptance_chart_says_when_it_has_too_few_samples() -> None:
    chart = acceptance(compared(made(count=12)))
    assert "has too few samples to quote both medians: 12 and 12." in chart.alt
    assert "done: too few samples (12)" in words(chart.figure())


# --- what never came is shown ---------------------------------------------------------------------


def test_a_censored_percentile_is_an_arrow_at_the_right_edge_with_a_label() -> None:
    chart = medians(compared(made(never=40)))
    [axes] = chart.figure().axes
    arrows = [line for line in axes.get_lines() if line.get_marker() == ">"]
    assert [float(line.get_xdata()[0]) for line in arrows] == [axes.get_xlim()[1]]  # type: ignore[index]
    assert "p99: censored" in words(axes.get_figure())  # type: ignore[arg-type]
    assert "p99 censored (no outcome in time)" in chart.alt


def test_censored_operations_let_the_distribution_end_below_one() -> None:
    chart = ecdf_of_comparison(compared(made(never=10)))
    [axes] = chart.figure().axes
    steps = max(axes.get_lines(), key=lambda line: len(line.get_xdata()))  # type: ignore[arg-type]
    assert float(max(steps.get_ydata())) == pytest.approx(0.9)  # type: ignore[arg-type]
    assert ">" in marks(chart.figure())
    assert any("censored: spool 120" in text for text in words(chart.figure()))
    assert "120 never came in time (censored)" in chart.alt
    assert chart.to_frame()["99 % ms"].tolist() == [math.inf]


def test_a_channel_that_never_delivers_is_shown_as_censored_everywhere() -> None:
    comparison = compared(made(never=1))
    for chart in charts_of(comparison):
        chart.png()
    assert "has a censored median: at least half of 1,200 samples had no outcome in time." in medians(comparison).alt
    assert "1,200" in ecdf_of_comparison(comparison).alt
    assert "done after more than the time allowed (censored)" in acceptance(comparison).alt


# --- looks ----------------------------------------------------------------------------------------


def test_rows_stand_in_the_order_of_the_styles_and_not_of_their_speed() -> None:
    fast, slow = made("streams", "messaging", mix=(1.0,)), made("spool", mix=(9.0,))
    for chart in charts_of(compared(fast, slow)):
        assert chart.to_frame()["channel"].tolist() == ["spool", "streams"]


def test_a_channel_looks_the_same_in_whatever_company() -> None:
    known = [(kind.style, title) for title, kind in catalogue().items()]
    for style, title in known:
        assert looks([*known, ("custom", "mine")])[title] == look(style, title)


def test_a_channel_looks_the_same_in_every_chart() -> None:
    comparison = compared(made(), made("streams", "messaging"))
    for chart in charts_of(comparison):
        lines = [line for axes in chart.figure().axes for line in axes.get_lines()]
        for channel, style in (("spool", "file_share"), ("streams", "messaging")):
            mine = look(style, channel)
            assert any((line.get_marker(), line.get_color()) == (mine.marker, mine.colour) for line in lines)


def test_two_channels_of_one_style_that_would_look_alike_do_not() -> None:
    names = [f"channel_{i}" for i in range(40)]
    alike = next(pair for pair in combinations(names, 2) if preferred(pair[0]) == preferred(pair[1]))
    found = looks([("rpc", name) for name in alike])
    assert found[alike[0]] == look("rpc", alike[0])
    assert found[alike[1]] != found[alike[0]]


def test_all_looks_can_be_told_apart_in_grey() -> None:
    by_variant = {preferred(f"c{i}"): f"c{i}" for i in range(200)}
    assert len(by_variant) == VARIANTS
    for one, other in combinations([look(style, name) for style in LOOKS for name in by_variant.values()], 2):
        same_shape = (one.marker, one.dash, one.fill) == (other.marker, other.dash, other.fill)
        assert not same_shape or abs(luminance(one.colour) - luminance(other.colour)) > 0.02
        assert one.marker == other.marker or one.dash != other.dash


def test_every_colour_stands_out_from_white() -> None:
    for style in LOOKS:
        for number in range(50):
            assert 1.05 / (luminance(look(style, f"c{number}").colour) + 0.05) >= 3.0


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_an_unknown_style_is_drawn_as_custom() -> None:
    assert isinstance(look("carrier_pigeon", "dove"), Look)
    assert look("carrier_pigeon", "dove").marker == LOOKS["custom"][1]


@pytest.fixture(scope="module")
def all_charts() -> list[Chart]:
    return charts_of(every_case())


def test_no_text_is_too_small_for_a_projector_or_outside_of_the_picture(all_charts: list[Chart]) -> None:
    for chart in all_charts:
        figure = chart.figure()
        drawn = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
        width, height = figure.get_size_inches()
        assert drawn.x0 >= 0, chart.name
        assert drawn.y0 >= 0, chart.name
        assert drawn.x1 <= width, chart.name
        assert drawn.y1 <= height, chart.name
        assert all(text.get_fontsize() >= SIZE >= 13 for text in figure.findobj(Text))  # type: ignore[attr-defined]


def test_names_of_lines_do_not_cover_each_other(all_charts: list[Chart]) -> None:
    figure = next(chart for chart in all_charts if chart.name == "ecdf").figure()
    renderer = FigureCanvasAgg(figure).get_renderer()
    for axes in figure.axes:
        boxes = [text.get_window_extent(renderer) for text in axes.texts if text.get_weight() == "bold"]
        names = [box for box in boxes if axes.bbox.contains(box.x0 + 1, box.y0 + 1)]
        assert len(names) >= 6
        assert not any(one.overlaps(other) for one, other in combinations(names, 2))


def test_a_name_is_drawn_as_it_is_and_never_read_as_mathematics() -> None:
    chart = medians(compared(made("$x_1$ <b>%s</b> {0}", "custom")))
    assert chart.png().startswith(b"\x89PNG")
    assert any("$x_1$" in text for text in words(chart.figure()))


# --- manners --------------------------------------------------------------------------------------


def test_drawing_leaves_no_figure_open_and_no_setting_changed() -> None:
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    for chart in charts_of(compared(made())):
        chart.png()
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


def test_a_picture_does_not_depend_on_the_settings_of_the_notebook() -> None:
    plain = medians(compared(made())).png()
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 5, "savefig.bbox": "tight"}):
        assert medians(compared(made())).png() == plain


def test_saving_writes_the_picture_and_its_alternative_text(tmp_path) -> None:  # type: ignore[no-untyped-def]
    chart = medians(compared(made()))
    picture = chart.save(tmp_path / "new")
    assert picture.name == "medians.png"
    assert int.from_bytes(picture.read_bytes()[16:20], "big") == 1500  # 10 inches at 150 dpi
    assert chart.alt in picture.with_suffix(".txt").read_text(encoding="utf-8")


def test_a_notebook_gets_the_picture_with_its_text_and_the_table_folded() -> None:
    page = medians(compared(made("<i>&", "custom")))._repr_html_()
    assert 'src="data:image/png;base64,' in page
    assert 'alt="Dot chart' in page
    assert "<details>" in page
    assert "<i>" not in page
    assert "&lt;i&gt;&amp;" in page
