"""Models with their processors: loading, the tiny ones, chat rendering, image-token checks."""
