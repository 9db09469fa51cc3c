"""Names of the tiny world that recipes need, without the drawing behind them."""

HELD_OUT_FAMILY = "sum_minus_smallest"
