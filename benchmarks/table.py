"""The figures of `speed.py` as lines of text."""

from __future__ import annotations

from typing import Any


def step(figures: dict[str, Any]) -> str:
    """A workload of GRPO: the comparison, and where the time goes."""
    lines = [side_by_side(figures)]
    for side, phases in figures["phases"].items():
        lines.append(f"  {side:5} " + ", ".join(f"{name} {value:.2f} s" for name, value in phases.items()))
    apart = figures["agreement"]
    lines.append(
        f"  the same {apart['tokens']} tokens: log-probs within {apart['logps']:.1e} (reference "
        f"{apart['reference_logps']:.1e}), KL {apart['kl']:.1e}, loss {apart['loss']:.1e}, "
        f"gradient norm {apart['grad_norm']:.1e}"
    )
    return "\n".join(lines)


def side_by_side(figures: dict[str, Any]) -> str:
    """Ratio, seconds, tokens a second and memory of both sides, and of other peers."""
    seconds, tokens = figures["seconds"], figures["tokens_per_s"]
    low, high = figures["ratio_spread"]
    line = (
        f"{figures['workload']}: {figures['ratio']:.2f}x ({low:.2f}-{high:.2f}, goal {figures['goal']}); "
        f"ours {seconds['ours']:.2f} s, peer {seconds['peer']:.2f} s; "
        f"{tokens['ours']:.0f} and {tokens['peer']:.0f} tokens/s"
    )
    if "cpu_seconds" in figures:
        line += "; {ours:.1f} and {peer:.1f} processor seconds".format(**figures["cpu_seconds"])
    if "memory_mib" in figures:
        line += "; {ours} and {peer} MiB".format(**figures["memory_mib"])
    for name in ("vllm", "llama_factory"):
        if name in figures:
            line += f"; {name}: {figures[name]}"
    return line


def ceiling(limit: dict[str, Any]) -> str:
    """The products alone, and their share of ours where it was measured."""
    parts = ", ".join(f"{name} {value:.2f} s" for name, value in limit["seconds"].items())
    line = f"{limit['workload']} ceiling: {limit['step']:.2f} s ({parts})"
    if "share" in limit:
        shares = ", ".join(f"{name} {value:.0%}" for name, value in limit["share"].items())
        line += f"; reached: {shares}"
    if "of_peak" in limit:
        line += f"; of the device's peak: {limit['of_peak']}"
    return line


def growth(axis: dict[str, Any]) -> str:
    """Seconds at each point of an axis."""
    points = zip(axis["values"], axis["seconds"]["ours"], axis["seconds"]["peer"], axis["ratio"], strict=True)
    return f"{axis['axis']}: " + "; ".join(
        f"{value}: {ours:.2f} s, peer {peer:.2f} s, {ratio:.2f}x" for value, ours, peer, ratio in points
    )
