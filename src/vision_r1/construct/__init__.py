"""Data construction: caption -> pseudo-CoT -> description -> reason -> filter -> rewrite -> export."""
