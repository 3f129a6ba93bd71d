"""Backbones: one registry row a model, flat graphs, named blocks, and where ImageNet weights come from."""
