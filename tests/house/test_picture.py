"""The picture of the house and the table of passes in docs/design.md are those of the code."""

from picture import PICTURE, design, picture
from test_house import ROOT


def test_the_picture_is_up_to_date():
    assert PICTURE.read_text() == picture(), "python tests/house/picture.py draws it"


def test_the_table_of_passes_is_up_to_date():
    page = (ROOT / "docs" / "design.md").read_text()
    assert page == design(page), "python tests/house/picture.py writes it"
