"""442 patients with diabetes: ten measurements and how far the disease went in a year.

Source: Efron, Hastie, Johnstone & Tibshirani (2004), Least angle regression, Annals of Statistics 32:407-499, as it comes
with scikit-learn.
"""

import numpy as np

from spikesim.models.data.split import Task


def diabetes_progression(*, test_fraction: float = 0.25, seed: int = 0) -> Task:
    """Inputs (n, 10) and targets (n, 1), both with mean 0 and standard deviation 1 over the part to learn from."""
    from sklearn.datasets import load_diabetes
    from sklearn.model_selection import train_test_split

    measured, progress = load_diabetes(return_X_y=True, scaled=False)
    rows = np.column_stack([np.asarray(measured), np.asarray(progress)])
    learn, check = (rows[chosen] for chosen in train_test_split(np.arange(len(rows)), test_size=test_fraction, random_state=seed))
    mean, spread = learn.mean(axis=0), learn.std(axis=0)
    learn, check = (((part - mean) / spread).astype(np.float32) for part in (learn, check))
    return Task(learn[:, :10], learn[:, 10:], check[:, :10], check[:, 10:])
