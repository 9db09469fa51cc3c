"""Training: SFT and GRPO on TRL, the length schedule, the guard, resuming; the tiny models from scratch."""
