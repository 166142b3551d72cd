"""The commands about data sets."""

from __future__ import annotations

from rrgbench.cli.app import JsonOption, print_json


def data_list(as_json: JsonOption = False) -> None:
    """List the data sets that are installed, with their licences and what they are."""
    from rrgbench.catalogue import Catalogue
    from rrgbench.cli.tables import print_data_sets

    specs = [spec for record in Catalogue.load().records for spec in record.specs if spec.kind == "datasets"]
    if as_json:
        print_json([spec.model_dump(mode="json") for spec in specs])
    else:
        print_data_sets(specs)
