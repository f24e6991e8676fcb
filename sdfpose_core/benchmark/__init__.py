"""What ``sdfpose bench`` measures: shapes, the speed of meshing, poses."""
