"""Numbers of a metric as people read them, in a terminal and in a picture."""

from gridscape.analysis.statistics import Interval
from gridscape.landscape import unit_of


def metric_text(value: float, metric: str) -> str:
    """A metric without its unit: fractions in percent, others with three digits.

    >>> metric_text(0.9312, "test_accuracy"), metric_text(0.9312, "test_loss")
    ('93.1', '0.931')
    """
    return f"{100 * value:.1f}" if unit_of(metric) == "fraction" else f"{value:.3g}"


def half_width(estimate: Interval, metric: str, sign: str = "\u00b1") -> str:
    """Half of an interval (its longer side), "\u00b10.6"; nothing where there is none."""
    return f"{sign}{metric_text(estimate.reach, metric)}" if estimate.known else ""
