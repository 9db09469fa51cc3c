"""The ground floor: errors, frozen configs, files, seeds, run directories, the Recipe and Stage types."""
