"""The kinds of sources, by the names that users give."""

VOLUMES = ("phantom_ct", "phantom_liver", "phantom_brain")  # synthetic, see `kmedtl.data.phantom.volumes`
MADE = ("phantom", *VOLUMES, "phantom_views", "tfds")  # sources that are no files
KINDS = f"{', '.join(MADE)}:NAME, a folder of class folders, a CSV or Parquet manifest, or an .npz file"
