import pytest

pytest.register_assert_rewrite("tests.interop.harness")  # so that what it asserts tells the values
