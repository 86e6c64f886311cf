"""Aggregates the scores beside this file with the package rliable, to hold trainer's statistics against.

    python3 -m venv /tmp/rliable
    /tmp/rliable/bin/pip install rliable "pandas<2.3" "numpy<2"     # rliable 1.2 needs an arch that newer ones break
    /tmp/rliable/bin/python tests/report/compare_rliable.py         # five minutes

What it prints stands as expected values in crates/trainer/src/statistics/rliable_tests.rs. Point figures must agree to
rounding; the ends of intervals, which two bootstraps draw by different random numbers, to a few thousandths.
"""

import json
from pathlib import Path

import numpy as np
from rliable import library, metrics

REPETITIONS = 50_000

# By task here, by run in rliable.
scores = {name: np.array(tasks).T for name, tasks in json.loads((Path(__file__).parent / "scores.json").read_text()).items()}


def show(name, point, interval):
    print(f"{name}: {float(point):.6f} [{float(interval[0]):.4f}, {float(interval[1]):.4f}]")


np.random.seed(0)
points, intervals = library.get_interval_estimates(
    scores, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=REPETITIONS, random_state=np.random.RandomState(1)
)
for name in scores:
    show(f"iqm {name}", points[name][0], intervals[name][:, 0])

points, intervals = library.get_interval_estimates(
    {"x,y": (scores["x"], scores["y"])},
    metrics.probability_of_improvement,
    reps=REPETITIONS,
    random_state=np.random.RandomState(1),
)
show("probability of improvement x over y", points["x,y"], np.ravel(intervals["x,y"]))

thresholds = np.array([0.3, 0.5, 0.6, 0.8, 1.0])
profiles, _ = library.create_performance_profile(scores, thresholds, reps=2000)
for name in scores:
    print(f"profile {name}: {[round(float(share), 6) for share in profiles[name]]}")
