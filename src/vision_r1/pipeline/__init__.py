"""Runs a recipe's stages in order, resumes them, and hands each one's artefact to the next."""
