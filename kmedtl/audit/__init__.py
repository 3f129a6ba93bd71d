"""What is in the data, before anything is trained: copies, and shortcuts to the label past the image."""
