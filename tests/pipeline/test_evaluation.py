import pytest

from vision_r1.core.errors import ConfigError
from vision_r1.evals.config import DEFAULT_CAP, EvaluateSettings
from vision_r1.pipeline.evaluation import common_cap


def test_the_cap_is_twice_the_last_stages():
    assert common_cap(EvaluateSettings(), {"ptst_1": 64, "ptst_2": 128}) == 256
    assert common_cap(EvaluateSettings(), {}) == DEFAULT_CAP
    assert common_cap(EvaluateSettings(max_new_tokens=300), {"ptst_1": 64, "ptst_2": 128}) == 300


def test_a_smaller_cap_is_refused():
    with pytest.raises(ConfigError, match="below twice the last stage's cap of 128"):
        common_cap(EvaluateSettings(max_new_tokens=200), {"ptst_2": 128})
