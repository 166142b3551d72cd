"""The tests in here belong to the distributions: they are run where these are installed, by tests/test_third_party.py."""

collect_ignore_glob = ["*/*"]
