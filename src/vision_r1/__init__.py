"""vision-r1: the whole Vision-R1 method as software."""
