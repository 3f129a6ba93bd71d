"""Statistics of clustered answers: intervals by patient, ranking, agreement, overlap, groups, what is unlike them."""
