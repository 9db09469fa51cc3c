"""Run directories made visible: one HTML page, terminal tables and bars, markdown comparisons. No torch."""
