"""Configuration of the documentation site (make docs)."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE / "_extensions"))

project = "sdfpose"
author = "sdfpose contributors"
project_copyright = "sdfpose contributors, MIT licence"
version = release = ET.parse(_HERE.parent / "package.xml").findtext("version", "")

extensions = ["myst_parser", "sphinx_copybutton", "mirrored", "offline", "python_api"]
exclude_patterns = ["_extensions"]
source_suffix = {".md": "markdown"}
language = "en"
smartquotes = False
pygments_style = "tango"
pygments_dark_style = "github-dark"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
copybutton_exclude = ".linenos, .gp, .go"

mirrored = {
    "changelog": "CHANGELOG.md",
    "model_card": "sdfpose_core/weights/MODEL_CARD.md",
    "packaging": "packaging/README.md",
    "quality": "QUALITY_DECLARATION.md",
}

add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 130
python_api = {
    "root": str(_HERE.parent),
    "packages": ["sdfpose_core", "sdfpose_ros"],
    "folder": "reference/python",
    # Commands and nodes have pages of their own.
    "without": ["sdfpose_core.cli", "sdfpose_ros.cli", "sdfpose_ros.reference"],
    "public": [
        "sdfpose_core.estimation.estimator.PoseEstimator",
        "sdfpose_core.estimation.estimator.EstimatorConfig",
        "sdfpose_core.estimation.estimator.FrameResult",
        "sdfpose_core.observation.frame.RgbdFrame",
        "sdfpose_core.observation.frame.Instance",
        "sdfpose_core.observation.frame.ObjectEstimate",
        "sdfpose_core.tracking.tracker.Tracker",
        "sdfpose_core.tracking.config.TrackerConfig",
        "sdfpose_core.tracking.tracker.Track",
        "sdfpose_core.datasets.folder.read_frame",
    ],
}

html_theme = "furo"
html_title = f"sdfpose {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b6e6e",
        "color-brand-content": "#0b6e6e",
        "color-brand-visited": "#0b6e6e",
    },
    "dark_css_variables": {
        "color-brand-primary": "#4fc3c3",
        "color-brand-content": "#4fc3c3",
        "color-brand-visited": "#4fc3c3",
    },
}
