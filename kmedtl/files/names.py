"""Names of files in a run folder that several rooms know."""

MODEL = "model.keras"
STATE = "state.npz"  # of a training that can go on
UNLABELLED = "unlabelled.csv"  # images that were learned from without labels
