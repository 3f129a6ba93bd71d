import pandas as pd
import pytest

from kmedtl.data.spelling import one_spelling, spelling_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P7", "p7"),
        ("P 7", "P7"),
        ("P\u00a07", " P7\t"),
        ("Zo\u00eb", "Zoe\u0308"),
        ("\ufb01t", "fit"),
        ("P\u200b7", "P7"),
        ("\ufeffP7", "P7"),
        ("\uff30\uff17", "P7"),
        ("007", "7"),
        ("P007", "P7"),
        ("7.0", "7"),
        ("0007.00", "7"),
        ("P-0012-03", "p-12-3"),
        ("stra\u00dfe", "STRASSE"),
        ("\u0667", "7"),
    ],
)
def test_spellings_of_one_id_have_one_key(one, other):
    assert spelling_key(one) == spelling_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P7", "P70"),
        ("P7", "Q7"),
        ("7", "7.5"),
        ("1.05", "1.5"),
        ("1.2.840.0", "1.2.840"),
        ("P-1-2", "P-12"),
        ("0", "00a"),
        ("\u200b", "\u200b\u200b"),
        ("M\u00fcller", "Muller"),
    ],
)
def test_different_ids_have_different_keys(one, other):
    assert spelling_key(one) != spelling_key(other)


def test_each_patient_gets_one_of_the_spellings_and_the_rest_stay():
    names = pd.Series(["p7", "P007", "Q1", "p7"], index=[3, 1, 0, 7])
    assert one_spelling(names).to_dict() == {3: "P007", 1: "P007", 0: "Q1", 7: "P007"}
