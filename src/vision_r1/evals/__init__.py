"""Measure models on held-out problems: runner, statistics, image controls, paired comparison."""
