"""Several tasks of one image, by one network: each function of the row asks those of the tasks, by their names."""
