"""What is stacked on a backbone, by task."""
