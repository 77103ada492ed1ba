"""Sphinx configuration: Markdown pages (MyST), the furo theme, API pages from the docstrings."""

from __future__ import annotations

import latebind

project = "latebind"
author = "The latebind developers"
copyright = "The latebind developers"
version = release = latebind.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"latebind {release}"
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
myst_heading_anchors = 3
