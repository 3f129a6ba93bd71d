"""Statistics of clustered answers: intervals by patient, ranking, agreement, groups, what is unlike the known."""
