"""The note of how far an interrupted attempt has come; reading it needs no NumPy."""

import json

PROGRESS = "progress.jsonl"


def read_progress(path):
    """Read how far an attempt has come, up to a line that was cut short.

    Returns:
        Dictionary of arrays and list of shards, as in `Attempt`; list of the byte
        positions where the first line and that of each shard end.
    """
    try:
        *lines, _ = (path / PROGRESS).read_bytes().split(b"\n")
    except FileNotFoundError:
        lines = []
    whole, ends, end = [], [], 0
    for line in lines:
        try:
            whole.append(json.loads(line))
        except ValueError:
            break
        end += len(line) + 1
        ends.append(end)
    if not whole or "arrays" not in whole[0]:
        return {}, [], [0]
    return whole[0]["arrays"], whole[1:], ends
