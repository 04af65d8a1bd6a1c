"""The page of errors shows the messages as they are."""

import pytest
from mistakes import MISTAKES, PAGE, message

CODES = [code for codes in MISTAKES.values() for code in codes]


@pytest.mark.parametrize("code", CODES)
def test_the_page_has_the_message(code):
    got = message(code)
    assert got.startswith(("Gradtx", "AttributeError: "))
    assert f"```python\n{code}\n```\n\n```text\n{got}\n```" in PAGE.read_text()


def test_the_page_has_nothing_else():
    assert PAGE.read_text().count("```python") == len(CODES)
