"""Figures as they stand in a sentence, with their sign, currency and word of magnitude."""

from __future__ import annotations

import re

_FIGURE = (
    r"(?:(?:US|USD\s|EUR\s)?[+-]?\\?[$€£¥]\s?)?(?<![A-Za-z0-9.,])[+-]?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?"
    r"(?:\s[0-9]+/[0-9]+|/[0-9]+)?(?:\s?(?:hundred|thousand|million|billion|trillion|[kMB])\b)?"
    r"(?:\s?(?:\\?%|°|\^\s?\{?\\circ\}?))?"
)
VALUE = re.compile(rf"[0-9]{{1,2}}:[0-9]{{2}}(?:\s?[ap]\.?m\b\.?)?|{_FIGURE}", re.IGNORECASE | re.ASCII)
