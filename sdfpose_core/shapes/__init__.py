"""Shapes: procedural CAD families, imported CAD models and SDF samples.

- `sdfpose_core.shapes.model.CadModel`: mesh of one object in the object frame
- `sdfpose_core.shapes.families.sample_model`: procedural models of the six categories
- `sdfpose_core.shapes.mesh_files`: reading mesh files
- `sdfpose_core.shapes.imports`: importing models and model collections
- `sdfpose_core.shapes.sdf_samples`: SDF samples for the training of decoders
- `sdfpose_core.shapes.contact_sheet`: images of many models
"""
