"""Tables and bars of `adaptation.py`, from the rows of its runs.

A pair is a shift, its figures means over seeds (and draws of labels). The best
candidate of a pair is known only afterwards; where none gains it is the control.
"""

from collections import Counter, defaultdict

import numpy as np
from adaptation_judging import ASKED, ASKED_ONLY, CHOSEN_BY_RANDOM, CONTROL, GUARD
from timing import print_rows

from tftransfer.adaptation.guard import ENSEMBLE

HARM = -0.5  # points
VERDICTS = ("adapted", "adapted in part", "kept source-only")
FIRST = (GUARD, ASKED, ASKED_ONLY, CHOSEN_BY_RANDOM)


def print_report(rows):
    """Print all tables; return what was printed, as a dict that JSON can hold."""
    halves = {
        "shifts": [row for row in rows if not row["is_stress"]],
        "stress half": [row for row in rows if row["is_stress"]],
    }
    summary = {}
    for name, half in halves.items():
        if half:
            summary[name] = compare_ways(half)
            title = f"{name}: {count_pairs(half)} pairs, {len(half)} runs"
            show(title, summary[name])
    summary["families"] = compare_families(rows)
    show("families: mean gain, worst pair", summary["families"])
    summary["pairs"] = list_pairs(rows)
    show("pairs: accuracy of the control, gains", summary["pairs"])
    summary["estimates"] = judge_estimates(rows)
    show(
        "estimated accuracy: error in points, cover of the 90 % interval",
        summary["estimates"],
    )
    summary["guard"] = count_verdicts(rows)
    show("the guard: runs by verdict and by what came of it", summary["guard"])
    changed = [row for row in rows if has_changed(row)]
    print(f"runs that today's guard decides otherwise than when fitted: {len(changed)}")
    summary["bars"] = check_bars(halves, summary)
    show("bars", summary["bars"])
    return summary


def has_changed(row):
    """Tell whether the guard chose something else when the run was fitted."""
    return abs(row["gains"][GUARD][0] - row["guarded_when_fitted"]) > 1e-6


def show(title, table):
    print(f"\n{title}")
    print_rows(table)


def ways_of(row):
    """Return gains by way to choose: one for each draw."""
    return {**row["gains"], **{k: [v] for k, v in row["candidates"].items()}}


def group(rows):
    """Return the rows of each pair."""
    pairs = defaultdict(list)
    for row in rows:
        pairs[row["shift"]].append(row)
    return pairs


def count_pairs(rows):
    return len(group(rows))


def mean_gains(rows):
    """Return, for the rows of one pair, the mean gain by way."""
    names = dict.fromkeys(name for row in rows for name in ways_of(row))
    gains = {n: [g for r in rows for g in ways_of(r).get(n, [])] for n in names}
    return {name: float(np.mean(found)) for name, found in gains.items()}


def best_of(rows):
    """Return name and mean gain of the best candidate of a pair."""
    means = mean_gains(rows)
    named = {CONTROL: 0.0, **{name: means[name] for name in rows[0]["candidates"]}}
    name = max(named, key=named.get)
    return name, named[name]


def compare_ways(rows):
    """Return a row for each way: mean, worst pair, harm, share of the best."""
    pairs = group(rows)
    best = {name: best_of(found)[1] for name, found in pairs.items()}
    means = {name: mean_gains(found) for name, found in pairs.items()}
    names = dict.fromkeys(way for found in means.values() for way in found)
    rest = [name for name in names if name not in FIRST]
    table = []
    for way in (*FIRST, *sorted(rest, key=lambda n: n in rows[0]["candidates"])):
        known = [pair for pair in pairs if way in means[pair]]
        single = [gain for row in rows for gain in ways_of(row).get(way, [])]
        gains = [means[pair][way] for pair in known]
        possible = sum(best[pair] for pair in known)
        table.append(
            {
                "way": way,
                "pairs": len(known),
                "mean": round(float(np.mean(gains)), 2),
                "worst_pair": round(min(gains), 2),
                "which": known[int(np.argmin(gains))],
                "harmed_%": round(100 * float(np.mean(np.array(single) < HARM)), 2),
                "share_of_best_%": round(100 * sum(gains) / max(possible, 1e-9), 1),
            }
        )
    possible = float(np.mean(list(best.values())))
    return [*table, {"way": "best, known afterwards", "mean": round(possible, 2)}]


def compare_families(rows):
    """Return a row for each family: mean and worst pair of some ways."""
    families = defaultdict(list)
    for row in rows:
        families[row["family"]].append(row)
    table = []
    for family, found in families.items():
        pairs = group(found)
        line = {
            "family": family,
            "pairs": len(pairs),
            "control": np.mean([row[CONTROL] for row in found]),
            "best": np.mean([best_of(each)[1] for each in pairs.values()]),
        }
        for way in (GUARD, ENSEMBLE, *FIRST[1:], *rivals_of(found)):
            gains = [mean_gains(each).get(way) for each in pairs.values()]
            gains = [gain for gain in gains if gain is not None]
            if gains:
                line[way] = f"{np.mean(gains):+.1f}, {min(gains):+.1f}"
        table.append({k: tidy(v) for k, v in line.items()})
    return table


def tidy(value):
    return value if isinstance(value, str | int) else round(float(value), 1)


def rivals_of(rows):
    """Return the names of packages' rivals in the rows."""
    names = dict.fromkeys(name for row in rows for name in row["gains"])
    return [name for name in names if name.startswith(("skada", "adapt "))]


def list_pairs(rows):
    """Return a row for each pair."""
    table = []
    for name, found in group(rows).items():
        means, (best, gain) = mean_gains(found), best_of(found)
        verdicts = Counter(row["verdict"] for row in found)
        known = [row["sklearn"] for row in found if "sklearn" in row]
        table.append(
            {
                "pair": name,
                "control": round(np.mean([row[CONTROL] for row in found]), 1),
                "sklearn": round(float(np.mean(known)), 1) if known else "",
                "best": best,
                "its_gain": round(gain, 1),
                **{way: round(means[way], 1) for way in (GUARD, ENSEMBLE, ASKED)},
                "estimated": round(
                    float(np.mean([row["estimates"][CONTROL][0] for row in found])), 1
                ),
                "verdicts": "/".join(str(verdicts[each]) for each in VERDICTS),
            }
        )
    return table


def judge_estimates(rows):
    """Return error and cover of the estimates, by half and for control and choice."""
    table = []
    for is_stress in (False, True):
        half = [row for row in rows if row["is_stress"] is is_stress]
        for name in ("control", "chosen") if half else ():
            truth = np.array([row["accuracies"][name] for row in half])
            value, low, high = np.array([row["estimates"][name] for row in half]).T
            table.append(
                {
                    "half": "stress" if is_stress else "shifts",
                    "of": name,
                    "mean_error": round(float(np.mean(np.abs(value - truth))), 2),
                    "bias": round(float(np.mean(value - truth)), 2),
                    "cover_%": round(
                        100 * float(np.mean((low <= truth) & (truth <= high))), 1
                    ),
                    "width": round(float(np.mean(high - low)), 1),
                }
            )
    return table


def count_verdicts(rows):
    """Return, by verdict, in how many runs the choice and all together won or lost."""
    table = []
    for is_stress in (False, True):
        for verdict in VERDICTS:
            found = [
                row
                for row in rows
                if row["verdict"] == verdict and row["is_stress"] is is_stress
            ]
            guarded = np.array([row["gains"][GUARD][0] for row in found])
            ensemble = np.array([row["candidates"][ENSEMBLE] for row in found])
            table.append(
                {
                    "half": "stress" if is_stress else "shifts",
                    "verdict": verdict,
                    "runs": len(found),
                    "gained": int(np.sum(guarded > 0)),
                    "same": int(np.sum(guarded == 0)),
                    "lost": int(np.sum(guarded < 0)),
                    "lost > 0.5": int(np.sum(guarded < HARM)),
                    "E10 gains > 0.5": int(np.sum(ensemble > -HARM)),
                    "E10 between": int(np.sum(np.abs(ensemble) <= -HARM)),
                    "E10 loses > 0.5": int(np.sum(ensemble < HARM)),
                }
            )
    return table


def check_bars(halves, summary):
    """Return what was to be reached, what was, and whether that is enough."""
    bars = []

    def add(what, reached, enough):
        bars.append({"bar": what, "reached": reached, "met": "yes" if enough else "NO"})

    found = {
        half: {row["way"]: row for row in summary[half]}
        for half in halves
        if half in summary
    }
    if "shifts" in found:
        ways = found["shifts"]
        guard, asked = ways[GUARD], ways[ASKED]
        rivals = [ways[name]["mean"] for name in rivals_of(halves["shifts"])]
        add("guard: no pair below -0.5", *at_least(guard["worst_pair"], HARM))
        add("guard: runs below -0.5 at most 1 %", *at_most(guard["harmed_%"], 1))
        add("guard: mean gain at least 2", *at_least(guard["mean"], 2))
        if rivals:
            add("guard: above every rival", *at_least(guard["mean"], max(rivals)))
        add("guard: 30 % of the best", *at_least(guard["share_of_best_%"], 30))
        add("20 asked: no pair below -0.5", *at_least(asked["worst_pair"], HARM))
        add("20 asked: 65 % of the best", *at_least(asked["share_of_best_%"], 65))
    if "stress half" in found:
        guard = found["stress half"][GUARD]
        add("stress: mean gain at least 0", *at_least(guard["mean"], 0))
        add("stress: runs below -0.5 at most 2 %", *at_most(guard["harmed_%"], 2))
    for row in summary["estimates"]:
        what = f"estimate, {row['half']}, {row['of']}"
        add(f"{what}: error at most 5", *at_most(row["mean_error"], 5))
        add(f"{what}: cover at least 80 %", *at_least(row["cover_%"], 80))
    differences = [
        round(row["control"] - row["sklearn"], 2)
        for row in summary["pairs"]
        if row["sklearn"] != ""
    ]
    if differences:
        what = "control: never below scikit-learn's by more than 0.3"
        add(what, *at_least(min(differences), -0.3))
    return bars


def at_least(reached, bar):
    return reached, reached >= bar


def at_most(reached, bar):
    return reached, reached <= bar
