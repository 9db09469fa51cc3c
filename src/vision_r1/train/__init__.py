"""Training: SFT and GRPO on TRL, the length schedule, the guard, resuming; and the tiny models from scratch."""
