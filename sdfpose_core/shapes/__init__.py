"""Shapes: procedural CAD families, imported CAD models, and samples of their signed distance.

- `sdfpose_core.shapes.model.CadModel`: one object's mesh in the object frame
- `sdfpose_core.shapes.families.sample_model`: endless procedural models of the six categories
- `sdfpose_core.shapes.mesh_files`: vertices and faces of files
- `sdfpose_core.shapes.imports`: models and collections of models from files
- `sdfpose_core.shapes.sdf_samples`: what a decoder is trained on
- `sdfpose_core.shapes.contact_sheet`: pictures of many models
"""
