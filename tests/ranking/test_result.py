import json

from tftransfer.ranking.result import BackboneRanking

ROWS = [
    {
        **{"name": "lite0", "logme": 0.5, "nce": -1.25, "features": 1280},
        **{"parameters": 3_413_024, "megabytes": 13.652, "rows_per_second": 12.34},
        "seconds": 1.5,
    },
    {
        **{"name": "mobile", "logme": 0.25, "nce": None, "features": 1280},
        **{"parameters": 410_208, "megabytes": 1.641, "rows_per_second": 1234.5},
        "seconds": 0.5,
    },
]
RANKING = BackboneRanking(ROWS, "logme", "classification", 5000, ["big was left out."])


def test_it_prints_a_table_with_its_notes():
    assert str(RANKING).splitlines() == [
        "classification, 5,000 rows, sorted by LogME",
        "",
        "backbone  LogME     NCE  features  parameters    MB  rows/s",
        "lite0     0.500  -1.250     1,280   3,413,024  13.7    12.3",
        "mobile    0.250       –     1,280     410,208   1.6   1,234",
        "",
        "big was left out.",
    ]


def test_it_is_saved_as_json(tmp_path):
    RANKING.save(tmp_path / "new" / "ranking.json")
    saved = json.loads((tmp_path / "new" / "ranking.json").read_text())
    assert saved == RANKING.to_dict()
    assert saved["rows"] == ROWS and saved["sort_by"] == "logme"
    assert RANKING.best == "lite0"
