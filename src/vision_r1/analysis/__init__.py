"""What traces show: reflection words, intervals."""
