"""Write the YAML twin of each built-in recipe beside this file: `python recipes/generate.py`."""

from pathlib import Path

from kmedtl import recipe, recipes

for name in recipes.describe():
    recipe.write(recipes.find(name), Path(__file__).with_name(f"{name}.yaml"), defaults=False)
