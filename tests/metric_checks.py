"""Metrics beside a formula: batch by batch, with and without weights, saved and loaded."""

import numpy as np

WEIGHTS = np.array([1.0, 0.5, 2.0, 0.0, 1.5, 1.0, 3.0, 0.25, 0.5, 0.0, 1.0, 2.5])
BATCHES = [slice(0, 5), slice(5, 8), slice(8, 12)]


def check(metric, formula, y, p, settings, rtol):
    """Compare with formula(y, p, weights, **settings) after each of some batches.

    Between two batches the metric is made anew, from its configuration and state, and afterwards
    it must have forgotten all.
    """
    for weights in (None, WEIGHTS):
        for rows in BATCHES:
            metric.update_state(y[rows], p[rows], None if weights is None else weights[rows])
            seen = slice(0, rows.stop)
            of_seen = None if weights is None else weights[seen]
            wanted = formula(y[seen], p[seen], of_seen, **settings)
            got = metric.result()
            assert isinstance(got, float) == (np.ndim(wanted) == 0)
            np.testing.assert_allclose(got, wanted, rtol=rtol, atol=1e-12)
            metric = copied(metric)
        metric.reset_state()


def copied(metric):
    again = type(metric).from_config(metric.get_config())
    again.load_state(metric.state())
    return again
