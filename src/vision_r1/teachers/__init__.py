"""What teachers are asked and how they answer: prompts, the tiny world's language, its reasoner."""
